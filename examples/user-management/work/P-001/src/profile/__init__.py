"""What users tell others about themselves."""
