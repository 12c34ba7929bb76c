"""The results of single tests as a gate wrote them: JUnit XML, which most programs that run tests can write.

The file comes from code of agents, so it may be anything. It is bounded in size, depth and number of elements, must be UTF-8,
and must not declare a document type, which results never have: an entity declared there can stand for any amount of text.
(Measured with expat 2.5: its own limit stops the well-known bombs, but a file of 30 MiB that is mostly a comment grew to 2 GB;
and it reads UTF-16 whatever encoding it is told, so what looks for a document type must be sure of the encoding itself.)
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from orchestrator.files import read_bounded
from orchestrator.model.gates import CaseState

if TYPE_CHECKING:
    from pathlib import Path

    from junitparser import TestCase

__all__ = ["parse_results", "read_results"]

_LONGEST = 32 * 1024 * 1024
_MOST_ELEMENTS = 500_000
_DEEPEST = 50
# What may stand before the root element, but for a document type. Possessive: it never goes back.
_PROLOG = re.compile(r"(?>[ \t\r\n]+|<\?.*?\?>|<!--.*?-->)*+", re.DOTALL)
_WORSE = {state: rank for rank, state in enumerate((CaseState.SKIPPED, CaseState.PASSED, CaseState.FAILED))}


def read_results(path: Path) -> tuple[dict[str, CaseState] | None, str]:
    """Return the state of each test, or None and why; without a file, there is nothing to say."""
    try:
        return parse_results(read_bounded(path, _LONGEST)), ""
    except FileNotFoundError:
        return None, ""
    except OSError as error:
        return None, error.strerror or str(error)
    except ValueError as error:
        return None, str(error)


def parse_results(content: bytes) -> dict[str, CaseState]:
    """Return the state of each test by its name, `class::test`; of several under one name, failed is more than passed.

    Names are as they are written in the file: they are not cleaned.

    Raises:
        ValueError: it is not what it should be; the message says why.
    """
    from junitparser import JUnitXml, JUnitXmlError

    try:
        body = _PROLOG.sub("", content.decode("utf-8-sig"), count=1)
    except UnicodeDecodeError as error:
        raise ValueError("it is no text in UTF-8") from error
    if "\0" in body:  # no XML has it, but every UTF-16 that is taken for UTF-8
        raise ValueError("it is no text in UTF-8")
    if body.startswith("<!"):  # after the root element has begun, a document type is an error of syntax
        raise ValueError("it declares a document type")
    parser = ET.XMLParser(target=_Bounded(), encoding="utf-8")  # noqa: S314 - see above
    try:
        parser.feed(body)
        report = JUnitXml.fromroot(parser.close())  # type: ignore[arg-type] # it says another Element than it means
    except (ET.ParseError, JUnitXmlError) as error:
        raise ValueError(f"it is no JUnit XML: {error}") from error
    found: dict[str, CaseState] = {}
    for suite in report:
        for case in suite:
            name = "::".join(part for part in (case.classname or suite.name, case.name) if part)
            found[name] = max(found.get(name, CaseState.SKIPPED), _state(case), key=_WORSE.__getitem__)
    return found


class _Bounded(ET.TreeBuilder):
    """Builds a tree without text, and only up to a bound: 32 MiB of the smallest elements take 1 GB."""

    def __init__(self) -> None:
        super().__init__()
        self._elements = self._depth = 0

    def start(self, tag: str, attrs: dict[str, str], /) -> ET.Element:
        self._elements += 1
        self._depth += 1
        if self._elements > _MOST_ELEMENTS or self._depth > _DEEPEST:
            raise ValueError("it has too many elements, or too many inside each other")
        return super().start(tag, attrs)

    def end(self, tag: str, /) -> ET.Element:
        self._depth -= 1
        return super().end(tag)

    def data(self, text: str, /) -> None:
        pass


def _state(case: TestCase) -> CaseState:
    if case.is_failure or case.is_error:
        return CaseState.FAILED
    return CaseState.SKIPPED if case.is_skipped else CaseState.PASSED
