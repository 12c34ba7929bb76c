"""Single-file mode: several agents write into one replicated text.

`document` is the only module besides `board.document` that touches pycrdt; what is decided here is decided in `places`
and `authorship`, on values.
"""
