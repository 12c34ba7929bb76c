"""What each service offers to the others."""
