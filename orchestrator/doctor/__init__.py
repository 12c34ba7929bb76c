"""What killed processes and runs have left: found, told, and repaired where it is proved that nobody needs it."""

from orchestrator.doctor.examine import Found, Outcome, examine
from orchestrator.doctor.machine import Machine, lines_on, look_at_machine, problems_of

__all__ = ["Found", "Machine", "Outcome", "examine", "lines_on", "look_at_machine", "problems_of"]
