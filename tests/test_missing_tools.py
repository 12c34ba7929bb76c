"""Tests of JavaScript and of the page are skipped where Node or Chromium is missing, and fail if nothing may be left out."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ASK = """
import pytest
from tests.support.boards import need_javascript
from tests.support.page import need_chromium
for need in (need_javascript, need_chromium):
    try:
        need()
    except (pytest.skip.Exception, pytest.fail.Exception) as answer:
        print(type(answer).__name__)
"""


@pytest.mark.parametrize(("wanted", "answer"), [("", "Skipped"), ("0", "Skipped"), ("1", "Failed")])
def test_what_is_missing_is_skipped_unless_all_is_wanted(tmp_path: Path, wanted: str, answer: str) -> None:
    env = {**os.environ, "PATH": str(tmp_path), "ORCH_TEST_ALL": wanted}
    command = [sys.executable, "-c", ASK]
    said = subprocess.run(command, cwd=Path(__file__).parents[1], env=env, capture_output=True, text=True, check=False)
    assert said.stdout.split() == [answer, answer], said.stderr
