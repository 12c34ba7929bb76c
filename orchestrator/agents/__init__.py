"""Agents of all kinds behind one Protocol (`base.Agent`); `registry` maps a plan's agent to one."""
