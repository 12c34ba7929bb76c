"""Values and decisions: no files, no processes, no clock, no event loop."""
