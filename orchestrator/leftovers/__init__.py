"""What runs have left in a repository: finding it, bringing it back, and removing what is kept elsewhere."""
