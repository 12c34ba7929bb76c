"""Worktrees of attempts: how they are made, what is in them, what is kept of them, and the folder in which gates run."""
