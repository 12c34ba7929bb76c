"""Deeds on a repository: objects, refs, work trees. Each one either happens whole or leaves only unreferenced objects."""

from __future__ import annotations

import hashlib
import itertools
import os
import shutil
import tempfile
import time
import zlib
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.effects import reached
from orchestrator.errors import GitError
from orchestrator.files import write_whole
from orchestrator.git import query
from orchestrator.git.at_work import unlock_refused
from orchestrator.git.broken_off import bring_back, was_writing
from orchestrator.git.parse import CommitId, TreeId
from orchestrator.git.untouched import untouched

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from orchestrator.git.command import Git
    from orchestrator.git.repository import Repository

__all__ = [
    "add_worktree",
    "apply_patch",
    "checkout",
    "commit_body",
    "commit_tree",
    "delete_ref",
    "file_lock",
    "forget_aside",
    "hash_file",
    "move_checkout",
    "move_checkout_past_untouched",
    "move_detached",
    "move_ref",
    "reset_detached",
    "rewritten_tree",
    "stage",
    "stage_everything",
    "tree_with",
    "unlock_index",
    "write_tree",
]

AUTHOR_MAIL = "orch@orch.invalid"
ASIDE = "orch-aside-"
"""How the names of folders begin, in git folders, that hold files of a checkout while it is moved."""
_KILLED = 3  # times that a git which moves a ref may be killed at it: it says nothing then, and is asked again
_NOT_IN_A_NAME = dict.fromkeys(map(ord, "<>\n\r\0"))


@contextmanager
def file_lock(path: Path) -> Iterator[None]:
    """Hold an exclusive lock on a file; it ends with the process, however that ends.

    `git worktree add` and the update of a checked-out branch each need one for the whole repository, across processes.
    """
    import fcntl  # Linux and macOS; there is no such module elsewhere

    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def hash_file(git: Git, content: bytes) -> str:
    """Write a blob and return its name."""
    return git.run("hash-object", "-w", "--stdin", stdin=content).text


def tree_with(git: Git, base: str, files: Mapping[str, bytes]) -> TreeId:
    """Return the tree of `base` with these files written into it, by way of this git's own index file."""
    git.run("read-tree", base)
    entries = [f"100644 {hash_file(git, content)}\t{path}\0" for path, content in files.items()]
    git.run("update-index", "-z", "--index-info", stdin=os.fsencode("".join(entries)))
    return write_tree(git)


def rewritten_tree(git: Git, commit: str) -> TreeId:
    """Return the tree that git writes for the files of a commit, by way of this git's own, new index file."""
    entries = git.run("ls-tree", "-r", "-z", "--full-tree", commit).out
    git.run("update-index", "-z", "--index-info", stdin=entries)
    return write_tree(git)


def commit_tree(git: Git, tree: str, parents: Sequence[str], message: str, author: str) -> CommitId:
    """Write a commit and return its name; nothing refers to it yet. The committer is the orchestrator.

    Written here and not by `git commit-tree`: a train of merges writes one for each item, and a process takes 20 times as long.
    """
    body = commit_body(tree, parents, message, author)
    return CommitId(write_object(git.object_folder, b"commit", body, "sha1" if len(tree) == 40 else "sha256"))


def commit_body(tree: str, parents: Sequence[str], message: str, author: str) -> bytes:
    """Return what a commit of ours holds, made now."""
    now = int(time.time())
    name = author.translate(_NOT_IN_A_NAME).strip()
    lines = [f"tree {tree}", *(f"parent {parent}" for parent in parents)]
    lines += [f"author {name} <{AUTHOR_MAIL}> {now} +0000", f"committer orch <{AUTHOR_MAIL}> {now} +0000", "", message]
    return "\n".join(lines).encode("utf-8", "replace").replace(b"\0", b"")


def write_object(store: Path, kind: bytes, body: bytes, algorithm: str) -> str:
    """Write a loose object into an object folder, as git writes one, and return its name."""
    whole = kind + b" %d\0" % len(body) + body
    name = hashlib.new(algorithm, whole, usedforsecurity=False).hexdigest()
    place = store / name[:2] / name[2:]
    if place.exists():
        return name
    handle, draft = tempfile.mkstemp(prefix="tmp_obj_", dir=store)  # a name that `git gc` clears away after a kill
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(zlib.compress(whole, 1))
        Path(draft).chmod(0o444)
        place.parent.mkdir(exist_ok=True)
        Path(draft).rename(place)
    except BaseException:
        Path(draft).unlink(missing_ok=True)
        raise
    return name


def move_ref(git: Git, ref: str, new: str, old: str | None, *, follow: bool = False) -> bool:
    """Move a ref from `old` (None: it must not exist) to `new`; return False if it is not where it was said to be.

    A symbolic ref is replaced, unless the caller wants to `follow` it: an agent may have made one of a name that is ours.

    Raises:
        GitError: it is there, and git cannot move it (a stale lock, a full disk).
    """
    if git.mover is None:
        raise GitError(["git", "update-ref", ref, new], git.cwd, -1, "no process for moving refs was started")
    reached("ref-move")
    killed = False
    for _ in range(_KILLED):
        if git.mover.move(ref, new, old or "0" * len(new), follow=follow):
            reached("ref-moved")
            return True
        found = git.find(ref)
        now = found.id if found else None
        if git.mover.refusal:
            if killed and unlock_refused(git, git.mover.refusal):
                continue
            break
        killed = True
        if now == (new if new.strip("0") else None):
            return True  # it was killed after its deed
    if now == old:
        raise GitError(["git", "update-ref", ref, new], git.cwd, 128 if git.mover.refusal else -9, git.mover.refusal)
    return False


def delete_ref(git: Git, ref: str, old: str) -> bool:
    """Delete a ref that points at `old`; return False if it does not, or is gone already. Of a symbolic ref only itself.

    Raises:
        GitError: it does, and git cannot delete it (a stale lock).
    """
    reached("ref-delete")
    deleted = move_ref(git, ref, "0" * len(old), old)
    reached("ref-deleted")
    return deleted


def add_worktree(repository: Repository, folder: Path, commit: str, *, made_of: Path | None = None) -> Path:
    """Register a new worktree at a commit, on no branch and with no file in it yet; return git's record of it.

    With `made_of`, an old worktree without a record and a pointer, its files are that folder's, which is moved there.

    The record is what `git worktree add --no-checkout --detach` writes (gitrepository-layout), made aside and renamed
    into place: a crash leaves no half-made or locked worktree, and no process runs under the repository's own
    configuration. On no branch, because one is made once there is something to keep on it. Only where refs are not
    kept in files, git itself does it.
    """
    if not repository.refs_in_files:
        repository.own.run("worktree", "add", "--quiet", "--no-checkout", "--detach", folder, commit)
        return Path((folder / ".git").read_text().removeprefix("gitdir:").strip())
    records = repository.common_dir / "worktrees"
    records.mkdir(exist_ok=True)
    names = (f"{folder.name}-{number}" if number else folder.name for number in itertools.count())
    record = next(place for name in names if not (place := records / name).exists())
    draft = Path(tempfile.mkdtemp(prefix=".worktree-", dir=repository.runs_folder))
    draft.chmod(0o755)
    (draft / "gitdir").write_text(f"{folder}/.git\n")
    (draft / "commondir").write_text("../..\n")
    (draft / "HEAD").write_text(f"{commit}\n")
    made_of.rename(folder) if made_of else folder.mkdir()
    (folder / ".git").write_text(f"gitdir: {record}\n")  # first, or a `git worktree prune` would drop the record
    reached("worktree-record")
    draft.rename(record)
    reached("worktree-recorded")
    return record


def checkout(git: Git, tree: str) -> None:
    """Write a tree's files into this git's empty work tree, and its index."""
    git.run("read-tree", "-m", "-u", tree)


def move_checkout(git: Git, previous: str, tree: str) -> str:
    """Move index and work tree from one tree to another, as a checkout does.

    Returns what is in the way (a local change, an untracked file), else an empty text. Either all of it moves or nothing.
    """
    reached("checkout-move")
    done = git.run("read-tree", "-m", "-u", previous, tree, accept=(0, 1, 128))
    reached("checkout-moved")
    if done.code and was_writing(done.err):
        bring_back(git, previous, tree)
    return done.err.strip() if done.code else ""


def move_checkout_past_untouched(git: Git, previous: str, tree: str) -> str:
    """Move index and work tree as `move_checkout` does, but let no file that is as git wrote it be in the way.

    Returns what is in the way, else an empty text. Either all of it moves or nothing.
    """
    against = move_checkout(git, previous, tree)
    if against and not was_writing(against):
        # Files that were touched, or copied with their repository, may well hold what they held; `git pull` asks, too.
        git.run("update-index", "-q", "--refresh", accept=(0, 1))
        against = move_checkout(git, previous, tree)
    if not against or was_writing(against):
        return against
    before = {c.path: (c.old_mode, c.old_blob) for c in query.changed_paths(git, previous, tree)}
    ours = [path for path, entry in untouched(git, before).items() if entry == before[path]]
    return _move_without(git, ours, previous, tree) if ours else against


def _move_without(git: Git, paths: list[str], previous: str, tree: str) -> str:
    """Move the checkout while these files are out of it: git takes a missing file for unmodified and writes it anew."""
    assert git.work_tree is not None
    with tempfile.TemporaryDirectory(prefix=ASIDE, dir=git.git_dir) as folder:
        places = {git.work_tree / path: Path(folder) / str(number) for number, path in enumerate(paths)}
        for place, aside in places.items():
            shutil.move(place, aside)
        reached("files-aside")
        moved = False
        try:
            against = move_checkout(git, previous, tree)
            moved = not against
        finally:
            if not moved:
                for place, aside in places.items():
                    shutil.move(aside, place)
    return against


def forget_aside(git: Git, previous: str, tree: str) -> None:
    """Delete what a killed move between two trees had moved aside, once the work tree holds all of it again."""
    assert git.work_tree is not None
    places = [git.work_tree / c.path for c in query.changed_paths(git, previous, tree) if not c.added]
    there = {place.read_bytes() for place in places if place.is_file() and not place.is_symlink()}
    for folder in git.git_dir.glob(f"{ASIDE}*"):
        if all(file.read_bytes() in there for file in folder.iterdir()):
            shutil.rmtree(folder)


def move_detached(git: Git, record: Path, previous: str, commit: str) -> bool:
    """Move a worktree of our own that holds exactly one commit to another, and its record; return False if git cannot."""
    if git.run("read-tree", "-m", "-u", previous, commit, accept=(0, 128)).code:
        return False
    _tell_record(git, record, commit)
    return True


def reset_detached(git: Git, record: Path, commit: str) -> None:
    """Make a worktree of our own hold exactly a commit whatever is in it, ignored files gone too, and let its record say so."""
    git.run("read-tree", "--reset", "-u", commit)
    git.run("clean", "-ffdxq")
    _tell_record(git, record, commit)


def _tell_record(git: Git, record: Path, commit: str) -> None:
    assert git.index is not None
    write_whole(record / "HEAD", f"{commit}\n".encode())
    write_whole(record / "index", git.index.read_bytes())


def unlock_index(git: Git) -> None:
    """Let this git's index be written, which is one that only we use: a git that was killed leaves its lock there."""
    assert git.index is not None
    git.index.with_name(f"{git.index.name}.lock").unlink(missing_ok=True)


def stage_everything(git: Git, listed: Sequence[str] = ()) -> TreeId:
    """Put the work tree's files, as they are, into this git's index and return their tree; of the ignored ones only `listed`."""
    git.run("add", "--all")
    if listed:
        stage(git, listed)
    return write_tree(git)


def write_tree(git: Git) -> TreeId:
    """Write what this git's index holds as a tree, and return it.

    Raises:
        GitError: an object that the index names is gone.
    """
    return TreeId(git.text("write-tree"))


def stage(git: Git, paths: Sequence[str]) -> None:
    """Put these paths of the work tree, as they are or are gone, into this git's index, ignored or not.

    Raises:
        GitError: one is neither there nor in the index.
    """
    names = b"".join(os.fsencode(path) + b"\0" for path in paths)
    git.run("add", "--all", "--force", "--pathspec-from-file=-", "--pathspec-file-nul", stdin=names)


def apply_patch(git: Git, patch: bytes) -> str:
    """Apply a patch to this git's work tree and index; return what git says against it, empty if it applied whole.

    Either all of it is applied or nothing.
    """
    done = git.run("apply", "--index", *_EXACTLY, stdin=patch, accept=(0, 1, 128))
    return done.err.strip() if done.code and not _applied_by_trees(git, patch) else ""


_EXACTLY = ("--binary", "--whitespace=nowarn", "-")


def _applied_by_trees(git: Git, patch: bytes) -> bool:
    """Apply a patch without looking at the work tree, then move it there as a checkout does; return whether that went.

    `apply --index` looks below a link that leads to itself even if the patch replaces it by a folder (git 2.39).
    """
    before = git.text("write-tree")
    with tempfile.TemporaryDirectory() as folder:
        aside = replace(git, index=Path(folder) / "index")
        aside.run("read-tree", before)
        if aside.run("apply", "--cached", *_EXACTLY, stdin=patch, accept=(0, 1, 128)).code:
            return False
        return not move_checkout(git, before, aside.text("write-tree"))
