"""Processes: starting and stopping a group of them, finding those that outlive their run, and the system's table of them."""
