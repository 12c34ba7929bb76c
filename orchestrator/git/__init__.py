"""Git behind one door: `command` starts it, `parse` reads its bytes, `query` asks, `change` acts."""
