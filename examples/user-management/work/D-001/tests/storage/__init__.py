"""Tests of stores that outlive the process."""
