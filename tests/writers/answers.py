"""What a model is asked to fill in in these tests, and how it says it."""

from __future__ import annotations

__all__ = ["BODY", "PATH", "SCAFFOLD", "WRITTEN", "block"]

PATH = "src/größe.py"
SCAFFOLD = """\
import os


def länge(text: str) -> int:
    # TODO:body count the 漢 in it
"""
BODY = "    return text.count('漢')  # 😀"
WRITTEN = SCAFFOLD.replace("    # TODO:body count the 漢 in it", BODY)


def block(words: str, position: str = "{position}") -> str:
    return f'<xcrdt_code_output crdtPosition="{position}">\n{words}\n</xcrdt_code_output>'
