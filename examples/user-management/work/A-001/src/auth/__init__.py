"""Users, their passwords and their sessions."""
