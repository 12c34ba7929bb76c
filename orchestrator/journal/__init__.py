"""The journal of a run: an append-only file of checked records, and the state that is folded from it."""
