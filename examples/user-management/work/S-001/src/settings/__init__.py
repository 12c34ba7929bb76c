"""What users have chosen."""
