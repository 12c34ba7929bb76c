"""Who wrote each line: git's blame, or what is the same for all files at once, read through the trailers that landing wrote.

`view` says what is asked about, `lines` whose each line is, `share` how much that is. `records` reads what the folders of runs
still know of a generation, `files` tells which generations wrote a file, `why` how one line came about, and `export` writes it
down for others.
"""

from orchestrator.provenance.lines import AllLines, Origin, Range, all_lines, lines_by, origins
from orchestrator.provenance.view import View, Who

__all__ = ["AllLines", "Origin", "Range", "View", "Who", "all_lines", "lines_by", "origins"]
