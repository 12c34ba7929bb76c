"""The crash harness: a story eventful enough to be killed anywhere, and what must hold once a run of it has ended.

A run that was killed, resumed, and killed again must end as one that nobody disturbed. What is looked at afterwards is asked
of git and of the system and not of the code under test; only the journals are read by their own reader. Each check returns
sentences, one a violation. The tests use this, and so does `scripts/soak`.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import time
from collections import Counter
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.journal.journal import read_journal
from orchestrator.model import events as happened
from tests.support.orch import Said, orch, start_orch, write_plan
from tests.support.repos import Repo, make_repo
from tests.support.stories import write

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

__all__ = [
    "ALL_SHARED", "KINDS", "ONCE", "SHARED", "SHORT", "Story", "finish", "go", "has_landed", "make_story", "processes_of",
    "violations",
]  # fmt: skip

_HEARTBEAT = "0.05"  # seconds, the least that is allowed
_PATIENCE = 3.0  # seconds that a process which was told to end may still take
_OF_A_RUN = (
    "plan", "plan/*", "journal", "journal.state", "board.log", "prompts", "prompts/*.md", "transcripts",
    "transcripts/*.jsonl", "gates", "gates/again", "gates/*.log", "report.json", "authors", "authors/*.shared.json",
)  # fmt: skip
_LOCKS = {
    "landing.lock",
    "worktrees.lock",
    "templates.lock",
}  # never removed: the lock is on the open file, and ends with its holder


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """A repository, a plan for it, and what the base branch must hold once every task has landed."""

    folder: Path
    repo: Repo
    plan: Path
    jobs: int
    mode: str
    tasks: tuple[str, ...]
    """The tasks that land: those of the plan, or in their place those of which its mode has made them."""
    files: dict[str, str]

    @property
    def home(self) -> Path:
        """The HOME of its runs, below which their worktrees are made."""
        return self.folder / "home"

    @property
    def scratch(self) -> Path:
        """Where its runs have their temporary files."""
        return self.folder / "scratch"

    @property
    def git_dir(self) -> Path:
        """The repository's git folder."""
        return self.repo.path / ".git"

    @property
    def agent_commits(self) -> Path:
        """A file in which agents write down what they have committed themselves."""
        return self.folder / "agent-commits"

    @property
    def held(self) -> Path:
        """A folder in which agents write down the files that they have for now: what an attempt that is cut off leaves."""
        return self.folder / "held"

    def runs(self) -> list[Path]:
        """Return the folders of its runs; only the last can have begun, since only then is there no other."""
        return sorted((self.git_dir / "orch").glob("r[0-9]*"))

    def begun(self) -> Path | None:
        """Return the folder of the run that has begun, and whose fate it is to be resumed."""
        return next((folder for folder in self.runs() if any(True for _ in _events(folder))), None)


def go(story: Story, *, kill_at: str = "", kill_after: float | None = None) -> Said:
    """Run the story, or go on with its run; kill orch at a point of `effects`, or after so many seconds, if it comes to that."""
    begun = story.begun()
    new = ["run", str(story.plan), "--run", f"r{len(story.runs())}", "--mode", story.mode]
    command = ["resume", begun.name] if begun else new
    env = {"HOME": str(story.home), "TMPDIR": str(story.scratch), "ORCH_KILL_AT": kill_at, "ORCH_CONFINE": "audit"}
    options = ("--jobs", str(story.jobs), "--heartbeat", _HEARTBEAT)
    process = start_orch(*command, *options, cwd=story.repo.path, env=env)
    try:
        out, err = process.communicate(timeout=110 if kill_after is None else kill_after)
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate()
        assert kill_after is not None, f"it did not end: {out.decode()}{err.decode()}"
    return Said(process.returncode, out.decode(errors="replace"), err.decode(errors="replace"))


def finish(story: Story) -> None:
    """Go on with the run until it has landed everything, undisturbed."""
    for _ in range(3):  # one that ended before it began is begun anew
        if not has_landed(story):
            said = go(story)
            assert said.code == 0, said.out + said.err
    assert has_landed(story)


def has_landed(story: Story) -> bool:
    """Tell whether the run says that it has landed everything, so that nothing is left to go on with."""
    return _status(story) == "landed"


def _status(story: Story) -> str | None:
    """Return what the report says; None if there is none yet."""
    begun = story.begun()
    report = begun / "report.json" if begun else None
    return str(json.loads(report.read_text())["status"]) if report and report.is_file() else None


# The plan. Each kind of task lands the same files, whatever happens to its attempts and in whatever order tasks land.


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """A task of the plan, and the files that it lands; `begins` is what they hold before."""

    task: dict[str, Any]
    files: dict[str, str]
    begins: dict[str, str] = field(default_factory=dict)


def _part(name: str, *steps: dict[str, Any], scope: Sequence[str] = (), **more: Any) -> list[_Part]:
    """Return a task that does these steps, and then writes its file."""
    path, text = f"{name}.txt", f"{name}\n"
    task = {"id": name, "writes": [path, *scope], "attempts": 30, **more}
    return [_Part(task={**task, "steps": [*steps, write(path, text)]}, files={path: text})]


def _plain(name: str, place: Path) -> list[_Part]:
    return _part(name)


def _refused(name: str, place: Path) -> list[_Part]:
    """Its first generation writes where it may not, its TODO is claimed and done."""
    outside = {"when": {"generation": 1, "do": [write(f"elsewhere/{name}")]}}
    return _part(name, {"claim": "one"}, outside, {"done": "one"}, todos=[{"id": "one", "title": "The only one"}])


def _gated(name: str, place: Path) -> list[_Part]:
    """Its first generation writes what the gate refuses."""
    (part,) = _part(name)
    part.task["steps"].append({"when": {"generation": 1, "do": [write(f"{name}.txt", "refuse me\n")]}})
    return [part]


def _leaving(name: str, place: Path) -> list[_Part]:
    """Its agent leaves processes behind: in its group, in a session of their own, and one that carries no mark."""
    return _part(name, {"run": "sleep 300 & setsid sleep 300 & env -i setsid sleep 300 & :"})


def _slow(name: str, place: Path) -> list[_Part]:
    """Its agent goes on only when there is a snapshot, at the latest after two seconds; until then it holds a file of its own."""
    ref = f"{place}/repo/.git/refs/orch/$ORCH_RUN/$ORCH_TASK/gen-$ORCH_GENERATION/snapshot"
    own, held = f"{name}.d/own", f"{place}/held/{name}-$ORCH_RUN-$ORCH_GENERATION"
    hold = f"echo $ORCH_RUN $ORCH_GENERATION > {own}; git hash-object {own} > {own}.id; mv {own}.id {held}"
    wait = f"n=0; until test -e {ref} || test $n = 100; do n=$((n+1)); sleep 0.02; done"
    let_go = {"run": f"rm {held}; rm {own}"}
    steps = [write(f"{name}.d/half"), {"run": f"{hold}; {wait}"}, {"delete": f"{name}.d/half"}, let_go]
    return _part(name, *steps, scope=[f"{name}.d/**"])


def _committing(name: str, place: Path) -> list[_Part]:
    """Its agent commits, on a branch of its own, too, and writes more. A commit that HEAD has let go of is not kept."""
    commit = "git -c user.name=agent -c user.email=agent@example.org commit --quiet --message"
    note = f"git rev-parse HEAD >> {place}/agent-commits"
    return _part(name, write(f"{name}.txt", "first\n"), {"run": f"git add {name}.txt && {commit} mine && {note}"})


def _stored(name: str, place: Path) -> list[_Part]:
    """It replaces a file that git takes for modified in the user's checkout, though it is as git wrote it."""
    (part,) = _part(name, write("stored.txt", "one\ntwo\n"), scope=["stored.txt"])
    part.files["stored.txt"] = "one\ntwo\n"
    return [part]


def _meeting(name: str, place: Path) -> list[_Part]:
    """Two tasks that do not merge: where one wants a file, the other wants a folder, until it finds the file there."""
    one, other = f"{name}a", f"{name}b"
    here = f"{place}/repo/{name}"
    wait = f"n=0; until test -e {here}; do n=$((n+1)); test $n -lt 100 || exit 1; sleep 0.02; done"
    unless = f"test -e {name} || {{ mkdir {name}; echo {other} > {name}/file; {wait}; }}"
    first = _part(one, write(name, f"{one}\n"), scope=[name])
    first[0].files[name] = f"{one}\n"
    return [*first, *_part(other, {"run": unless}, scope=[f"{name}/**"])]


def _shared(name: str, place: Path) -> list[_Part]:
    """Two tasks of a track that share a file, in which their agents write side by side; what one runs leaves a process behind."""
    path, parts = f"{name}.shared", []
    for number, task in enumerate((f"{name}a", f"{name}b")):
        texts = [f"{task}: words, and more of them\n" * 3, "it leaves one" if number else "it leaves none"]
        stream = {"stream": {"path": path, "text": "".join(texts), "marker": task, "rate": 600}}
        steps = [stream, {"run": "sleep 300 &"}] if number else [stream]
        parts.append((task, {"id": task, "track": name, "attempts": 30, "steps": steps}, "".join(texts)))
    begins = "".join(f"# TODO:{task} to be written\n" for task, _, _ in parts)
    files, begin = {path: "".join(f"{text}\n" for _, _, text in parts)}, {path: begins}
    return [_Part(task=task, files=files, begins=begin) for _, task, _ in parts]


KINDS: dict[str, Callable[[str, Path], list[_Part]]] = {
    "plain": _plain, "refused": _refused, "gated": _gated, "leaving": _leaving, "slow": _slow, "committing": _committing,
    "stored": _stored, "meeting": _meeting, "shared": _shared,
}  # fmt: skip
"""What tasks there are to make a story of."""

ONCE = "stored"
"""The one kind that a story can have once at most."""

SHORT = (
    ("refused", ()), ("leaving", ()), ("slow", ()), ("meeting", ()), ("committing", (0, 1)), ("stored", (0,)), ("gated", ()),
)  # fmt: skip
"""Most kinds, with the places of those that they need: as much as can happen in a second."""

SHARED = (("shared", ()), ("gated", (0,)))
"""A track whose tasks share a file, and a task in a worktree that needs one of them."""

ALL_SHARED = (("shared", ()),)
"""What mode crdt can do as a whole."""


def make_story(
    folder: Path, parts: Sequence[tuple[str, Sequence[int]]] = SHORT, *, jobs: int = 3, mode: str = "worktree"
) -> Story:
    """Make a repository and a plan of such parts; `folder` gets everything, with the HOME of the runs in `home`."""
    files = {"README.txt": "start\n", "contracts/agreed.md": "agreed\n", "contracts/more.md": "from a file\n"}
    begins: dict[str, str] = {}
    tasks: list[dict[str, Any]] = []
    names: list[str] = []
    for number, (kind, needs) in enumerate(parts):
        for part in KINDS[kind](f"t{number}", folder):
            tasks.append({**part.task, "needs": [names[n] for n in needs]})
            files.update(part.files)
            begins.update(part.begins)
        names.append(tasks[-1]["id"])
    repo = make_repo(folder / "repo", README_txt="start\n", **begins)
    if any(kind == ONCE for kind, _ in parts):
        files[".gitattributes"] = "stored.txt text\n"
        _store_as_it_is(repo)
    tracks = {task["track"]: {"owns": [f"{task['track']}.shared"], "mode": "crdt"} for task in tasks if "track" in task}
    plan = write_plan(
        folder / "plan", tasks, {"more.md": "from a file\n"}, tracks=tracks,
        contracts={"files": {"contracts/agreed.md": "agreed\n", "contracts/more.md": {"from": "more.md"}}},
        gates=[{"name": "refuses", "run": "sleep 300 & ! grep --quiet 'refuse me' *.txt"}],
    )  # fmt: skip
    (folder / "home").mkdir(exist_ok=True)
    (folder / "scratch").mkdir()
    (folder / "held").mkdir()
    landing = dict.fromkeys(task.get("track", task["id"]) if mode == "worktree" else "whole" for task in tasks)
    return Story(folder=folder, repo=repo, plan=plan, jobs=jobs, mode=mode, tasks=tuple(landing), files=files)


def _store_as_it_is(repo: Repo) -> None:
    """Commit a file with line ends that its attributes forbid, written in the same instant as the index: git looks into it."""
    repo.commit("stored", stored_txt="one\r\ntwo\r\n")
    repo.write(".gitattributes", "stored.txt text\n")
    repo.git("add", ".gitattributes")
    repo.git("commit", "--quiet", "--message", "attributes")
    (repo.path / "stored.txt").unlink()
    repo.git("checkout", "--quiet", "--", "stored.txt")
    written = (repo.path / "stored.txt").stat().st_mtime_ns
    os.utime(repo.path / ".git/index", ns=(written, written))
    assert repo.status() == " M stored.txt"


# What must hold.


def violations(story: Story) -> list[str]:
    """Return what is not as if nobody had disturbed the run; nothing, if all is well."""
    checks = (_wrong_tree, _not_landed_once, _lost, _unsound, _left_over, _left_running, _misreported)
    return [sentence for check in checks for sentence in check(story)]


def _wrong_tree(story: Story) -> Iterator[str]:
    """Yield how the base branch differs from what the plan's tasks add up to."""
    wanted = {path: ("100644", _blob(text)) for path, text in story.files.items()}
    listed = (line.split("\t") for line in story.repo.git("ls-tree", "-r", "-z", "main").split("\0") if line)
    found = {path: (meta.split()[0], meta.split()[2]) for meta, path in listed}
    for path in sorted(wanted.keys() | found.keys()):
        if wanted.get(path) != found.get(path):
            yield f"{path} on main is {found.get(path)}, and not {wanted.get(path)}"


def _blob(text: str) -> str:
    content = text.encode()
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def _not_landed_once(story: Story) -> Iterator[str]:
    """Yield each task, and the contracts, that the base branch does not show to have landed exactly once."""
    trailer = "--format=%(trailers:key=Provenance-Task,valueonly,separator=)"
    landed = Counter(story.repo.git("log", "--first-parent", trailer, "main").split())
    for task in sorted({"contracts", *story.tasks} | landed.keys()):
        if landed[task] != 1 or task not in {"contracts", *story.tasks}:
            yield f"{task} has landed {landed[task]} times"


def _lost(story: Story) -> Iterator[str]:
    """Yield each commit that a ref of the run ever pointed at, or an agent made, and each file, that no ref leads to any more."""
    ever = dict.fromkeys(_words(story.agent_commits), "an agent has made")
    for log in (story.git_dir / "logs/refs").rglob("*"):
        if log.is_file() and "candidate" not in log.parts:  # what is not wanted any more may go
            ref = log.relative_to(story.git_dir / "logs")
            ever.update({line.split()[1]: f"{ref} pointed at" for line in log.read_text().splitlines()})
    for folder in story.runs():
        for event in _events(folder):
            if isinstance(event, _MADE) and event.commit is not None:
                ever[event.commit] = f"the journal calls {event.kind}"
    kept = {
        line.split()[0] for line in story.repo.git("rev-list", "--objects", "--missing=allow-any", "--all").splitlines()
    }
    for commit, what in ever.items():
        if commit not in kept and commit.strip("0"):
            yield f"the commit {commit[:12]}, which {what}, is lost"
    for held in sorted(story.held.iterdir()):
        if held.read_text().strip() not in kept:
            yield f"the file that {held.name} had when its attempt was cut off is lost"


_MADE = happened.Kept | happened.SnapshotTaken | happened.Landed | happened.ContractsPublished | happened.Submitted


def _unsound(story: Story) -> Iterator[str]:
    """Yield what git finds wrong, and what it would call a change in the user's checkout."""
    done = subprocess.run(
        ["git", "fsck", "--strict", "--full", "--no-dangling"], cwd=story.repo.path, capture_output=True, check=False
    )
    if done.returncode or done.stderr:
        yield f"git fsck says: {(done.stdout + done.stderr).decode(errors='replace').strip()}"
    if status := story.repo.status():
        yield f"git status says: {status}"


def _left_over(story: Story) -> Iterator[str]:
    """Yield what only a run under way may have: worktrees, their records, locks, drafts, temporary files, candidates' refs."""
    git_dir, places = story.git_dir, [story.scratch, story.folder / ".orch-worktrees", story.home / ".local/state/orch"]
    found = [path for place in places for path in place.rglob("*")]
    found += [git_dir / name for name in _entries(git_dir) if _is_temporary(name)]
    for folder in story.runs():
        found += [folder / n for n in _entries(folder) if not any(fnmatch(n, allowed) for allowed in _OF_A_RUN)]
    yield from (f"{path} is left over" for path in found)
    for ref in story.repo.git("for-each-ref", "--format=%(refname)").split():
        parts = ref.split("/")
        if parts[1] == "orch" and parts[-1] not in {"snapshot", "agent-commits"}:
            yield f"the ref {ref} is left over"


def _entries(folder: Path) -> list[str]:
    """Return the path of everything below a folder."""
    return [str(path.relative_to(folder)) for path in folder.rglob("*")]


def _is_temporary(path: str) -> bool:
    name = path.rpartition("/")[2]
    if path.startswith("orch/.gate-cache/"):  # what a kill leaves there goes as its entries go, the oldest first
        return False
    locked = name.endswith(".lock") and path not in {f"orch/{lock}" for lock in _LOCKS}
    return locked or path.startswith("worktrees/") or name.startswith((".new-", ".worktree-", "orch-aside-", "gc.pid"))


def _left_running(story: Story) -> Iterator[str]:
    """Yield each process of the run that does not end in a moment."""
    until = time.monotonic() + _PATIENCE
    while (found := processes_of(story)) and time.monotonic() < until:
        time.sleep(0.02)  # they are nobody's children here: nothing tells when they end
    yield from (f"the process {pid} is left over: {command}" for pid, command in found.items())


def processes_of(story: Story, mark: str = "") -> dict[int, str]:
    """Return number and command of each process that works for a run: by its place, its environment, or its git folder.

    With a `mark`, only those that have a variable of this name.
    """
    signs = tuple(f"{name}={story.git_dir}".encode() for name in ("ORCH_RUN_FOLDER", "GIT_DIR"))
    found = {}
    for place in Path("/proc").glob("[0-9]*"):
        try:
            environment = (place / "environ").read_bytes().split(b"\0")
            command = (place / "cmdline").read_bytes()
            inside = str((place / "cwd").readlink()).startswith(f"{story.home}/")
        except OSError:
            continue  # it has ended
        ours = inside or any(value.startswith(signs) for value in environment)
        if ours and any(value.startswith(mark.encode()) for value in environment):
            found[int(place.name)] = command.replace(b"\0", b" ").decode(errors="replace").strip()
    return found


def _misreported(story: Story) -> Iterator[str]:
    """Yield what the report and `orch doctor` say against it."""
    if not has_landed(story):
        yield f"the report says {_status(story)}"
    doctor = orch("doctor", "--dry-run", cwd=story.repo.path, env={"HOME": str(story.home)})
    if doctor.code:
        yield f"orch doctor says: {doctor.out}{doctor.err}"


def _events(folder: Path) -> Iterator[happened.Event]:
    journal = folder / "journal"
    return (event for _, event in read_journal(journal)) if journal.is_file() else iter(())


def _words(path: Path) -> Iterable[str]:
    return path.read_text().split() if path.is_file() else ()
