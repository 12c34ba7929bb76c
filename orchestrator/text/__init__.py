"""Single-file mode: several agents write into one replicated text."""
