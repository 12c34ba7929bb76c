"""The crew: one attempt after another, from the worktree to the work that is handed in."""
