"""The command: one folder from rows of trials, the same bytes each time, and nothing outside it is needed."""

from __future__ import annotations

import csv
import json
import re
import shlex
import subprocess
import sys
from html.parser import HTMLParser
from typing import TYPE_CHECKING

import numpy as np
import pytest

from orchestrator.compare.analysis import analyse
from orchestrator.compare.page import html_page, markdown_page
from orchestrator.compare.report_folder import SIMULATED, Origin, sections_of
from orchestrator.compare.trials import Trial, read_trials, trials_text
from orchestrator.errors import UsageError
from tests.support.orch import orch

if TYPE_CHECKING:
    from pathlib import Path


def trials(*, simulated: bool = False, runs: int = 6) -> list[Trial]:
    """Return trials of three modes, with one to eight agents, of four tasks that depend more and more on themselves."""
    rng = np.random.default_rng(6)
    found = []
    for i, task in enumerate(("<b>api</b>", "ui|web", "data", "cli")):
        for mode, agents in (("sequential", 1), ("worktree", 2), ("worktree", 4), ("crdt", 4), ("worktree", 8)):
            for run in range(runs):
                share = 0.9 - 0.2 * i
                overhead = 0.0 if mode == "sequential" else 1.5
                seconds = (100 + 20 * i) * (1 - share + share / agents) + overhead + rng.normal(0, 1)
                found.append(Trial(
                    task=task, mode=mode, run=run, agents=agents, seed=run, simulated=simulated, coupling=round(0.1 + 0.2 * i, 1),
                    wall_seconds=float(seconds), overhead={"merge": overhead} if overhead else {},
                    characters=int(20_000 + 500 * agents + rng.integers(0, 500)), gates_run=3, gates_passed=3,
                    conflicts={"semantic": int(rng.integers(0, 3)), "direct": 1} if mode == "crdt" else {},
                    scores={name: float(rng.integers(10, 20)) for name in ("quality", "architecture", "tests")},
                    error="" if run or mode == "sequential" else "the agent gave up",
                ))  # fmt: skip
    return found


class Links(HTMLParser):
    """Collects whatever a browser would fetch or run."""

    def __init__(self) -> None:
        super().__init__()
        self.outside: list[str] = []
        self.ids: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note scripts, frames and links that do not lead into the page, and the ids."""
        if tag in {"script", "link", "iframe", "object", "embed", "img", "base", "b"}:
            self.outside.append(tag)
        for name, value in attrs:
            if name in {"href", "src", "xlink:href", "srcset", "data"} and not (value or "").startswith("#"):
                self.outside.append(f"{name}={value}")
            if name == "id":
                self.ids.append(value or "")


@pytest.mark.e2e
def test_the_command_writes_a_report_that_needs_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "trials.csv").write_text(trials_text(trials(simulated=True, runs=4)))
    said = orch("compare", "--from", "trials.csv", "--out", "report 1", cwd=tmp_path)
    assert (said.code, said.err) == (0, "")
    assert "Simulation" in said.out
    folder = tmp_path / "report 1"
    page = (folder / "report.html").read_text()
    links = Links()
    links.feed(page)
    assert links.outside == []
    assert len(set(links.ids)) == len(links.ids)
    assert not re.search(r"url\((?!#)|@import", page)
    assert SIMULATED in page
    assert SIMULATED in (folder / "report.md").read_text()
    assert {file.stem for file in (folder / "plots").iterdir()} >= {
        "time",
        "scaling",
        "conflicts",
        "quality",
        "forest-1",
    }
    assert all("simulated" in file.read_text() for file in (folder / "plots").iterdir())
    report = json.loads((folder / "report.json").read_text())
    assert (report["simulated"], report["trials"], report["failed"]) == (True, 80, 16)
    for name, rows in report["tables"].items():
        assert len(list(csv.DictReader((folder / "tables" / f"{name}.csv").read_text().splitlines()))) == len(rows)
    assert report["command"] in (folder / "report.md").read_text()
    first = {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()}
    again = orch(*shlex.split(report["command"])[1:], "--json", cwd=tmp_path)  # the command that the report names
    assert again.json == report
    assert {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()} == first
    assert list(read_trials(folder / "tables" / "trials.csv")) == trials(simulated=True, runs=4)


@pytest.mark.e2e
def test_what_cannot_be_done_is_said_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "trials.csv").write_text("task,mode,run,wall_seconds\na,crdt,1,-2\n")
    said = orch("compare", "--from", "trials.csv", "--out", "out", cwd=tmp_path)
    assert said.code == 2
    assert "trials.csv:2: column 'wall_seconds' holds '-2'; write greater than 0" in said.err
    assert not (tmp_path / "out").exists()
    assert orch("compare", "--out", "out", cwd=tmp_path).code == 2
    (tmp_path / "trials.csv").write_text("task,mode,run,wall_seconds\na,crdt,1,2\na,sequential,1,3\n")
    (tmp_path / "out").write_text("in the way")
    said = orch("compare", "--from", "trials.csv", "--out", "out", cwd=tmp_path)
    assert said.code == 2
    assert "cannot be written" in said.err


@pytest.mark.e2e
def test_without_its_libraries_it_says_what_to_install(tmp_path: Path) -> None:
    script = "import sys; sys.modules['scipy'] = None; from orchestrator.cli.app import main; main(sys.argv[1:])"
    done = subprocess.run(
        [sys.executable, "-c", script, "compare", "--from", "trials.csv", "--out", "out"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert (
        done.stderr
        == "Error: `orch compare` needs scipy.\nInstall them: pip install '.[compare]' in orch's own folder.\n"
    )


def test_names_of_others_are_no_markup(tmp_path: Path) -> None:
    file = tmp_path / "trials.csv"
    file.write_text(trials_text(trials(runs=3)))
    sections = sections_of(analyse(trials(runs=3)), Origin(command="orch compare", files=(file,)), None)
    page, text = html_page("T", "", sections), markdown_page("T", "", sections)
    assert "&lt;b&gt;api&lt;/b&gt;" in page
    assert "<b>" not in page
    assert "<b>" not in text.replace("\\<b>", "")
    assert "| ui\\|web |" in text


def test_few_trials_make_a_report_too(tmp_path: Path) -> None:
    few = [Trial(task="a", mode=mode, run=1, wall_seconds=2) for mode in ("sequential", "worktree")]
    file = tmp_path / "trials.csv"
    file.write_text(trials_text(few))
    sections = sections_of(analyse(few), Origin(command="orch compare", files=(file,)), None)
    assert "It makes no difference that these trials show" in markdown_page("T", "", sections)
    failed = [few[0], Trial(task="a", mode="worktree", run=1, error="no model")]
    assert "1 failed" in markdown_page("T", "", sections_of(analyse(failed), Origin(command="", files=(file,)), None))
    with pytest.raises(UsageError, match="all trials failed"):
        analyse([each.model_copy(update={"error": "no model"}) for each in few])
