"""Landing: submitted work becomes candidates of the merge train, which are checked, gated, and land in order."""
