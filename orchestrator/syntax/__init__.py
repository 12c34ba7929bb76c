"""What the syntax of a file tells: its faults, its names, its open TODOs."""
