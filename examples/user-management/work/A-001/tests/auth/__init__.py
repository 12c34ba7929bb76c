"""Tests of users, passwords and sessions."""
