"""Commands that only look: `status`, `log`, `board`."""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from orchestrator.cli.common import json_option, open_repository, repo_option, run_folder, say
from orchestrator.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["board", "log", "status"]


@click.command(short_help="Show where a run stands.")
@click.argument("run", required=False)
@repo_option
@json_option
def status(*, run: str | None, repo: Path | None, as_json: bool) -> None:
    """Show where RUN (default: the newest) stands."""
    from orchestrator.journal.journal import is_free, state_in
    from orchestrator.model.state import TaskStatus
    from orchestrator.model.text import clean_text

    folder = run_folder(open_repository(repo), run)
    state = state_in(folder / "journal")
    rows = [
        {
            "id": task_id,
            "status": task.status.value,
            "generation": task.generation,
            "reason": clean_text(task.reason) or None,
        }
        for task_id, task in state.tasks.items()
    ]
    over = state.ended.status if state.ended else "not ended"
    if as_json:
        say([json.dumps({"run": folder.name, "status": over, "tasks": rows})])
        return
    landed = len(state.with_status(TaskStatus.LANDED))
    lines = [f"{folder.name}: {over}, {landed} of {len(rows)} task{'s' * (len(rows) != 1)} landed"]
    lines += [
        f"  {row['id']:24} {row['status']:10} gen {row['generation']}  {row['reason'] or ''}".rstrip() for row in rows
    ]
    if over != "landed":
        given_up = {row["status"] for row in rows} <= {"landed", "failed", "blocked"}
        how = (
            f"It has not begun. Start it again: orch run --run {folder.name} PLAN"
            if state.started is None
            else f"Try what has failed again: orch resume {folder.name} --retry"
            if given_up
            else f"Go on with it: orch resume {folder.name}"
        )
        lines.append(how if is_free(folder / "journal") else "A process is working on it.")
    say(lines)


@click.command(short_help="Show what happened in a run, in order.")
@click.argument("run", required=False)
@click.option("--task", help="Only what happened to this task.")
@click.option("--follow", is_flag=True, help="Go on until the run has ended.")
@click.option("--transcript", is_flag=True, help="With --task: what its agents said and did, attempt by attempt.")
@repo_option
@json_option
def log(
    *, run: str | None, task: str | None, follow: bool, transcript: bool, repo: Path | None, as_json: bool
) -> None:  # fmt: skip
    """Show what happened in RUN (default: the newest), in order."""
    from orchestrator.journal.journal import follow_journal, read_journal, state_in
    from orchestrator.model.events import event_as_json
    from orchestrator.model.sentences import sentence_for

    if transcript and (task is None or follow):
        raise click.UsageError("--transcript needs --task, and shows what there is: leave out --follow.")
    journal = run_folder(open_repository(repo), run) / "journal"
    if task is not None and task not in state_in(journal).all_tasks:
        raise UsageError(f"The run {journal.parent.name} has no task {task}.")
    if transcript and task is not None:
        generations = range(1, state_in(journal).all_tasks[task].generation + 1)
        say(
            line
            for generation in generations
            for line in _transcript(journal.parent, task, generation, as_json=as_json)
        )
        return
    lines = (
        json.dumps({"at": at, **event_as_json(event)})
        if as_json
        else f"{time.strftime('%H:%M:%S', time.localtime(at))}  {sentence_for(event)}"
        for at, event in (follow_journal(journal) if follow else read_journal(journal))
        if (task is None or getattr(event, "task", None) == task) and (as_json or sentence_for(event))
    )
    say(lines, at_once=follow)


def _transcript(folder: Path, task: str, generation: int, *, as_json: bool) -> Iterator[str]:
    """Yield what stands in the transcript of one attempt; a line that is none, as a kill may leave one, is left out."""
    from orchestrator.agents.transcript import LIMIT
    from orchestrator.files import read_bounded
    from orchestrator.model.agent_events import sentence_of

    try:
        content = read_bounded(folder / "transcripts" / f"{task}.gen-{generation}.jsonl", 2 * LIMIT)
    except OSError as fault:
        if not as_json:
            yield f"          generation {generation} has no transcript: {fault.strerror or fault}"
        return
    if not as_json:
        yield f"          generation {generation}"
    for text in content.splitlines():
        try:
            line = json.loads(text)
            when = time.strftime("%H:%M:%S", time.localtime(float(line.get("at", 0))))
        except (ValueError, TypeError, AttributeError, OverflowError, OSError):
            continue
        if as_json:
            yield json.dumps({"generation": generation, **line})
        elif sentence := sentence_of(line):
            yield f"{when}  {sentence}"


@click.command(short_help="Show the shared board as text.")
@click.argument("run", required=False)
@click.option("--url", help="Show the board that is served there, from any machine: ws://HOST:PORT/board.")
@click.option("--token", envvar="ORCH_BOARD_TOKEN", help="The token for --url (default: $ORCH_BOARD_TOKEN).")
@click.option("--ca", type=click.Path(path_type=Path, exists=True), help="Trust certificates signed by this one, too.")
@click.option("--follow", is_flag=True, help="With --url: show it again at each change, until interrupted.")
@click.option("--replay", metavar="PATH", help="Play again how a file was written in mode crdt.")
@click.option(
    "--speed",
    type=click.FloatRange(min=0),
    default=0.0,
    help="With --replay: times as fast as it was (default, 0: at once).",
)
@repo_option
@json_option
def board(
    *, run: str | None, url: str | None, token: str | None, ca: Path | None, follow: bool, replay: str | None, speed: float,
    repo: Path | None, as_json: bool,
) -> None:  # fmt: skip
    """Show the shared board of RUN (default: the newest) as text."""
    from orchestrator.board.log import read_board
    from orchestrator.board.snapshot import render, take
    from orchestrator.cli.serving import show_live

    if follow and url is None:
        raise click.UsageError("--follow needs --url; orch log --follow follows a run of this repository.")
    if url is not None:
        show_live(url=url, token=token, follow=follow, ca=ca, as_json=as_json)
        return
    folder = run_folder(open_repository(repo), run)
    if replay is not None:
        say(_replayed(folder / "board.log", replay, speed, as_json=as_json), at_once=bool(speed))
        return
    seen = take(read_board(folder / "board.log"))
    say([json.dumps(seen.as_json()) if as_json else render(seen)])


def _replayed(log: Path, path: str, speed: float, *, as_json: bool) -> Iterator[str]:
    """Yield each change of a shared file, when it was made or at once, and in the end the file."""
    from orchestrator.model.text import printable
    from orchestrator.text.replaying import newest_document, replay

    document = newest_document(log, path)
    if document is None:
        raise UsageError(f"{path} was no shared file of this run.", hint="Only runs in mode crdt have shared files.")
    began, last = time.monotonic(), ""
    for moment in replay(log, document):
        if speed:
            time.sleep(max(0.0, began + moment.seconds / speed - time.monotonic()))
        last = moment.text
        if as_json:
            yield json.dumps({key: value for key, value in asdict(moment).items() if key != "text"})
        else:
            added = f" +{printable(json.dumps(moment.added, ensure_ascii=False))}" if moment.added else ""
            removed = f" -{moment.removed}" if moment.removed else ""
            yield f"{moment.seconds:8.2f}s  {moment.author}{added}{removed}"
    yield json.dumps({"text": last}) if as_json else f"\n{last}"
