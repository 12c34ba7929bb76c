"""Confinement: what keeps the programs of an attempt in their place, and what looks after what they did."""
