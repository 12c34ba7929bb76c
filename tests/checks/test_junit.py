"""JUnit XML as programs write it, and as nobody should."""

from __future__ import annotations

import contextlib
import os
import resource
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.checks.junit import parse_results, read_results
from orchestrator.model.gates import CaseState

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def suites(inner: str) -> bytes:
    return f"<testsuites><testsuite name='s'>{inner}</testsuite></testsuites>".encode()


def case(name: str, result: str = "", of: str = "m") -> str:
    return f"<testcase classname='{of}' name='{name}' time='0.1'>{result}</testcase>"


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (suites(""), {}),
        (suites(case("a") + case("b", "<failure message='x'>long</failure>")), {"m::a": "passed", "m::b": "failed"}),
        (suites(case("a", "<error/>") + case("b", "<skipped/>")), {"m::a": "failed", "m::b": "skipped"}),
        (suites(case("a", "<system-out>x</system-out>")), {"m::a": "passed"}),
        (suites(case("a", "<skipped/>") + case("a")), {"m::a": "passed"}),
        (suites(case("a", "<error/>") + case("a")), {"m::a": "failed"}),  # the teardown of a test that passed
        (suites("<testcase name='a'/>"), {"s::a": "passed"}),
        (b"<testsuite><testcase name='a'/></testsuite>", {"a": "passed"}),
        (suites(case("\ufffd", "<system-out>\ufffd</system-out>")), {"m::\ufffd": "passed"}),
        (suites(f"<testsuite>{case('a')}</testsuite>{case('b')}"), {"m::a": "passed", "m::b": "passed"}),
        (suites(case("a", "<failure><![CDATA[<!DOCTYPE html>]]></failure>")), {"m::a": "failed"}),
        (b"\xef\xbb\xbf<?xml version='1.0' encoding='utf-8'?>\n<!-- > -->" + suites(case("ä")), {"m::ä": "passed"}),
    ],
)
def test_results_are_read(content: bytes, found: dict[str, str]) -> None:
    assert parse_results(content) == found


# Each letter stands for ten of the one before it; padded, so that it is within a limit on the ratio of output to input.
LETTERS = "abcdefghij"
STEPS = "".join(f"<!ENTITY {b} '{f'&{a};' * 10}'>" for a, b in pairwise(LETTERS))
BOMB = f"<!DOCTYPE x [<!ENTITY a '{'a' * 100}'>{STEPS}]><testsuites>&j;</testsuites>"
PADDING = b"<!--" + b" " * 2_000_000 + b"-->"


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "it is no JUnit XML: no element found"),
        (suites("")[:-1], "it is no JUnit XML: unclosed token"),
        (b"<html/>", "it is no JUnit XML: Invalid format"),
        (b"{}", "it is no JUnit XML: not well-formed"),
        ("<testsuites/>".encode("utf-16"), "it is no text in UTF-8"),
        (BOMB.encode("utf-16"), "it is no text in UTF-8"),
        (BOMB.encode("utf-16-le"), "it is no text in UTF-8"),
        (BOMB.encode("utf-16-be"), "it is no text in UTF-8"),
        (suites("\x00"), "it is no text in UTF-8"),
        (suites("&nothing;"), "it is no JUnit XML: undefined entity"),
        (BOMB.encode(), "it declares a document type"),
        (b"<?a b?> " + PADDING + BOMB.encode(), "it declares a document type"),
        (b"<testsuites>" + BOMB.encode(), "it is no JUnit XML: not well-formed"),
        (b"<?xml version='1.0' encoding='cp037'?>" + BOMB.encode("cp037"), "it is no text in UTF-8"),
        (b"<!DOCTYPE x SYSTEM 'file:///etc/passwd'><testsuites/>", "it declares a document type"),
        (suites("<testsuite>" * 100 + "</testsuite>" * 100), "it has too many elements, or too many inside each other"),
        (suites("<a/>" * 500_001), "it has too many elements, or too many inside each other"),
    ],
    ids=range(17),
)  # fmt: skip
def test_what_is_no_result_is_said_and_does_no_harm(content: bytes, why: str) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ValueError, match=why):
        parse_results(content)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 500_000  # KiB


@given(st.binary() | st.text("<>!?&;/-[]'= testsuiacENTIYDOCPX", max_size=60).map(str.encode))
def test_anything_is_read_or_refused(content: bytes) -> None:
    with contextlib.suppress(ValueError):
        assert set(parse_results(content).values()) <= set(CaseState)


def _nothing(_path: Path) -> None:
    pass


def _too_long(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(33 * 1024 * 1024)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (_nothing, ""),
        (os.mkfifo, "it is no ordinary file"),
        (lambda path: path.mkdir(), "Is a directory"),
        (lambda path: path.symlink_to("/etc/passwd"), "Too many levels of symbolic links"),
        (_too_long, "it is longer than 33554432 bytes"),
        (lambda path: path.write_text("<x"), "it is no JUnit XML: unclosed token: line 1, column 0"),
    ],
)
def test_what_stands_in_the_place_of_the_file(tmp_path: Path, make: Callable[[Path], None], said: str) -> None:
    make(tmp_path / "results.xml")
    found, why = read_results(tmp_path / "results.xml")
    assert found is None
    assert said in why
    assert bool(said) == bool(why)
