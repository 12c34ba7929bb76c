"""The shared board: replicated documents with one writer each, and one hub that decides who holds what.

`hub.open_board` gives the orchestrator a `Hub`; an agent holds a `seat.Seat`; `log.read_board` lets another
process look on; `snapshot` is the frozen view, as text or JSON. The document layout is promised in
`contracts/board.md`. Only `document` here and `text.document` import pycrdt.
"""
