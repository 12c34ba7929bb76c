"""Run many coding agents on one git repository at once, and land only work that is proved to fit together.

The story, one module a step:

1. `planfile` reads the plan; `contracts` writes and commits what is agreed.
2. `crew` starts an agent for each task whose needs have landed, each in a worktree of its own (`worktrees`, `agents`),
   and keeps the shared `board`.
3. `checks` looks at what an agent hands in; `landing` merges it, gates the merged tree, and lands exactly that tree.
4. `provenance` tells who wrote each line; `report` says what became of the run.

`run` puts these in order. What is decided, is decided in `model`, which does nothing; what is done, is done at the edge.
"""

__all__ = ["__version__"]

__version__ = "0.1.0"
