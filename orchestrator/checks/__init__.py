"""Checks of finished work: boundary, contracts, gates."""
