"""How a service behaves: rules in words, and the same rules as tests."""
