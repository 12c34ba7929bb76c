"""Comparing modes: trials, their statistics, and a report that says what they are worth."""
