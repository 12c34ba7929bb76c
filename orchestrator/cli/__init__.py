"""The command line: options in, text and exit code out."""

from orchestrator.cli.app import main

__all__ = ["main"]
