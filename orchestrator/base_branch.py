"""The branch that work lands on, and the checkout that its user may have of it.

Moved by compare-and-swap only. Where it is checked out, the files follow, as `git pull` would do it, and nothing that the
user has not committed is touched: if something is in the way, nothing moves at all.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.disk_faults import HINT
from orchestrator.effects import reached
from orchestrator.errors import BaseBranchError, DiskError, GitError, UsageError
from orchestrator.git import change, query
from orchestrator.git.at_work import unlock_killed, unlock_refs
from orchestrator.git.broken_off import bring_back, was_writing
from orchestrator.git.command import Git
from orchestrator.git.durable import sync_ref, sync_steps

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orchestrator.git.parse import CommitId, WorktreeEntry
    from orchestrator.git.repository import Repository

__all__ = ["BaseBranch", "open_base"]

_KILLED = 3  # times that a git which moves a checkout may be killed at it, as by a system that runs out of memory


@dataclass(frozen=True, slots=True, kw_only=True)
class BaseBranch:
    """A local branch. Work trees below `agents_home` are agents' own and never count as the user's checkouts of it."""

    name: str
    repository: Repository
    agents_home: Path

    def tip(self) -> CommitId:
        """Return the commit the branch points at.

        Raises:
            BaseBranchError: the branch is gone.
        """
        commit = self.find_tip()
        if commit is None:
            raise BaseBranchError(
                f"The branch {self.name} is gone.", hint=f"Its last commits are in `git reflog {self.name}`."
            )
        return commit

    def find_tip(self) -> CommitId | None:
        """Return the commit the branch points at; None if it is gone."""
        return query.tip(self.repository.own, self.name)

    def refuse_if_dirty(self) -> None:
        """Raise if landing would have to change a checkout that holds uncommitted changes.

        Raises:
            BaseBranchError: it does; the message names the checkout.
        """
        # Under the lock: another run may be between the files of a checkout and the branch.
        with change.file_lock(self.repository.runs_folder / "landing.lock"):
            for checkout in self._checkouts():
                if changed := query.tracked_changes(checkout):
                    more = f" and {len(changed) - 3} more" if len(changed) > 3 else ""
                    raise BaseBranchError(
                        f"{self.name} is checked out in {checkout.cwd}, and there are uncommitted changes: "
                        f"{', '.join(changed[:3])}{more}.",
                        hint="Commit or stash them, or let the plan land on another branch with `base:`. Nothing was changed.",
                    )
        if busy := self._rebase():
            raise BaseBranchError(
                f"{self.name} is being rebased in {busy}.", hint="Finish it or abort it first. Nothing was changed."
            )

    def _rebase(self) -> Path | None:
        """Return where a rebase of the branch has stopped in the middle: it will want to move the branch itself."""
        common = self.repository.common_dir
        for git_dir in (common, *common.glob("worktrees/*")):
            for kind in ("rebase-merge", "rebase-apply"):
                head = git_dir / kind / "head-name"
                if head.is_file() and head.read_text().strip() == f"refs/heads/{self.name}":
                    return git_dir
        return None

    def advance(self, old: CommitId, new: CommitId, packs: Mapping[str, Path] | None = None) -> bool:
        """Move the branch and its checkouts from one commit to another; return False if the branch is elsewhere by now.

        Also if objects of the commit are gone, which a `git gc --prune=now` does to what no ref holds yet: nothing was moved.
        `packs` names commits on the way whose new objects are in a pack (`git.durable.sync_steps`).

        Raises:
            BaseBranchError: something uncommitted in a checkout is in the way; nothing was moved.
            DiskError: a checkout cannot be written; nothing was moved.
            GitError: git cannot move the branch (a stale lock, a full disk); nothing was moved.
        """
        if not sync_steps(self.repository, new, old, packs or {}):
            return False
        with change.file_lock(self.repository.runs_folder / "landing.lock"):
            reached("base-move")
            followed: list[Git] = []
            moved = False
            try:
                # Files first: a crash in between leaves staged additions, which is better than staged reverts.
                for checkout in self._checkouts():
                    self._follow(checkout, old, new)
                    followed.append(checkout)
                moved = change.move_ref(self.repository.own, f"refs/heads/{self.name}", new, old, follow=True)
            finally:
                if not moved:
                    for checkout in followed:
                        self._follow(checkout, new, old)
            if moved:
                reached("base-moved")
                sync_ref(self.repository, f"refs/heads/{self.name}")
            return moved

    def unlock(self) -> None:
        """Remove the locks that a move has left if its git was killed as well, unless somebody may hold them."""
        for checkout in self._checkouts():
            unlock_killed(checkout)
        unlock_refs(self.repository.common_dir, ("HEAD", f"refs/heads/{self.name}"))

    def take_back(self, old: CommitId, new: CommitId) -> None:
        """Bring back to `old` each checkout that was moved to `new`, or half so, before the branch was: a move cut off."""
        if query.new_objects(self.repository.objects, new, old) is None:
            return  # taken back before, by one that has let go of it, and collected since
        with change.file_lock(self.repository.runs_folder / "landing.lock"):
            for checkout in self._checkouts():
                if query.index_is(checkout, old):
                    bring_back(checkout, old, new)
                elif query.index_is(checkout, new):
                    self._follow(checkout, new, old)
                change.forget_aside(checkout, old, new)

    def _checkouts(self) -> list[Git]:
        """Return a git for each work tree that stands on the branch now: people switch branches while a run goes on."""
        if not self._may_be_checked_out():
            return []
        with change.file_lock(self.repository.runs_folder / "worktrees.lock"):  # git fails if a record goes meanwhile
            listed = query.worktrees(self.repository.own)
        found = [
            _checkout_git(self.repository, self._place_of(entry, main=entry is listed[0]))
            for entry in listed
            if entry.branch == self.name and not entry.bare
        ]
        return [git for git in found if git is not None and not git.cwd.is_relative_to(self.agents_home)]

    def _may_be_checked_out(self) -> bool:
        """Tell whether the HEAD of a work tree may name the branch; only then it is worth a process to ask git."""
        common = self.repository.common_dir
        heads = [*([common / "HEAD"] if self.repository.work_tree else []), *common.glob("worktrees/*/HEAD")]
        return not self.repository.refs_in_files or any(_may_name(head, f"refs/heads/{self.name}") for head in heads)

    def _place_of(self, entry: WorktreeEntry, *, main: bool) -> Path:
        """Return a listed work tree's folder; git guesses the main one's wrong for submodules and separate git folders."""
        here = self.repository.work_tree
        return here if main and here and self.repository.own.git_dir == self.repository.common_dir else Path(entry.path)

    def _follow(self, checkout: Git, old: CommitId, new: CommitId) -> None:
        for left in reversed(range(_KILLED)):
            try:
                against = _against_move(checkout, old, new)
                break
            except GitError as error:
                if error.code >= 0 or not left:
                    raise
                unlock_killed(checkout)
                if query.index_is(checkout, new):
                    return  # it was killed after its deed
                if query.index_is(checkout, old):
                    bring_back(checkout, old, new)
        if was_writing(against):
            raise DiskError(
                f"The files of {self.name} in {checkout.cwd} could not be written: {against.splitlines()[0]}", hint=HINT
            )
        if against:
            raise BaseBranchError(
                f"{self.name} is checked out in {checkout.cwd}, and something there is in the way: {against}",
                hint="Commit or move it away, then run again. The finished work is kept on its branch.",
            )


def open_base(repository: Repository, name: str | None, agents_home: Path, *, last: str = "") -> BaseBranch:
    """Find the base branch: the named one, or the one checked out in the repository; `last` is where it was, if known.

    Raises:
        UsageError: there is no such branch, or none is checked out.
    """
    if name is None:
        done = repository.own.run("symbolic-ref", "--quiet", "--short", "HEAD", accept=(0, 1))
        if done.code or not done.text:
            raise UsageError(
                "No branch is checked out here.", hint="Check one out, or name one in the plan with `base:`."
            )
        name = done.text
    if query.tip(repository.own, name) is None:
        has_any = query.resolve(repository.own, "HEAD") is not None
        raise UsageError(
            f"There is no branch {name} in {repository.common_dir}" + ("." if has_any else ": it has no commit yet."),
            hint=f"Create it: git branch {name} {last}".rstrip()
            if has_any
            else "Make a first commit: git commit --allow-empty -m start",
        )
    if query.resolve(repository.own, "refs/heads/orch") is not None:
        raise UsageError(
            "There is a branch called orch, so git cannot make the branches orch/… that keep the agents' work.",
            hint="Rename it: git branch -m orch another-name",
        )
    return BaseBranch(name=name, repository=repository, agents_home=agents_home)


def _may_name(head: Path, ref: str) -> bool:
    """Tell whether a HEAD file names a ref, or may do so: once it was a symbolic link."""
    try:
        return head.is_symlink() or head.read_text(errors="replace").strip() == f"ref: {ref}"
    except OSError:
        return False  # the worktree has gone


def _against_move(checkout: Git, old: CommitId, new: CommitId) -> str:
    """Move a checkout, and return what is in the way; then nothing was moved."""
    return _own_files_in_the_way(checkout, old, new) or change.move_checkout_past_untouched(checkout, old, new)


def _own_files_in_the_way(checkout: Git, old: CommitId, new: CommitId) -> str:
    """Return which file of the user's own, ignored ones too, a move would overwrite; git itself spares only unignored ones."""
    assert checkout.work_tree is not None
    changes = query.changed_paths(checkout, old, new)
    ours = {c.path for c in changes if not c.added}
    for path in (c.path for c in changes if c.added):
        place = checkout.work_tree / path
        above = next((p for p in place.parents if p != checkout.work_tree and (p.is_symlink() or p.is_file())), None)
        if above is not None and str(above.relative_to(checkout.work_tree)) not in ours:
            return f"{above.relative_to(checkout.work_tree)} is there, and is not in the repository"
        if place.is_dir() and not place.is_symlink():
            inside = (
                str(p.relative_to(checkout.work_tree)) for p in place.rglob("*") if p.is_symlink() or not p.is_dir()
            )
            if foreign := next((name for name in inside if name not in ours), None):
                return f"{foreign} is there, and is not in the repository"
        elif place.is_symlink() or place.exists():
            return f"{path} is there, and is not in the repository"
    return ""


def _checkout_git(repository: Repository, place: Path) -> Git | None:
    """Return a git for a checkout; None if it is none any more. Its git folder is one of this repository's, or it is not it."""
    pointer = place / ".git"
    if repository.work_tree is not None and place == repository.work_tree:
        git_dir = repository.own.git_dir
    elif pointer.is_dir() and not pointer.is_symlink():
        git_dir = pointer.resolve()
    elif pointer.is_file():
        git_dir = (place / pointer.read_text().removeprefix("gitdir:").strip()).resolve()
    else:
        return None
    if not git_dir.is_relative_to(repository.common_dir):
        return None
    git = Git(git_dir=git_dir, cwd=place, work_tree=place)
    return replace(git, config=_no_filters(git))


def _no_filters(git: Git) -> dict[str, str]:
    """Return settings that switch every configured filter off: git must not start somebody's program for us.

    Files under a filter (large file storage) stay as they are stored until the user checks them out.
    """
    done = git.run("config", "-z", "--name-only", "--get-regexp", r"^filter\.", accept=(0, 1))
    names = [name for name in done.text.split("\0") if name]
    return {name: "false" if name.lower().endswith(".required") else "" for name in names}
