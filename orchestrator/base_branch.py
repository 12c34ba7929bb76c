"""The branch that work lands on, and the checkout that its user may have of it.

Moved by compare-and-swap only. Where it is checked out, the files follow, as `git pull` would do it, and nothing that the
user has not committed is touched: if something is in the way, nothing moves at all.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.errors import BaseBranchError, UsageError
from orchestrator.git import change, query
from orchestrator.git.command import Git
from orchestrator.git.untouched import set_aside, untouched

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orchestrator.git.parse import CommitId
    from orchestrator.git.repository import Repository

__all__ = ["BaseBranch", "open_base"]


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
        for checkout in self._checkouts():
            if query.has_tracked_changes(checkout):
                raise BaseBranchError(
                    f"{self.name} is checked out in {checkout.cwd}, and there are uncommitted changes.",
                    hint="Commit or stash them, or let the plan land on another branch with `base:`. Nothing was changed.",
                )

    def advance(self, old: CommitId, new: CommitId) -> bool:
        """Move the branch and its checkouts from one commit to another; return False if the branch is elsewhere by now.

        Raises:
            BaseBranchError: something uncommitted in a checkout is in the way; nothing was moved.
            GitError: git cannot move the branch (a stale lock, a full disk); nothing was moved.
        """
        with change.file_lock(self.repository.runs_folder / "landing.lock"):
            followed: list[Git] = []
            moved = False
            try:
                # Files first: a crash in between leaves staged additions, which is better than staged reverts.
                for checkout in self._checkouts():
                    self._follow(checkout, old, new)
                    followed.append(checkout)
                moved = change.move_ref(self.repository.own, f"refs/heads/{self.name}", new, old)
            finally:
                if not moved:
                    for checkout in followed:
                        self._follow(checkout, new, old)
            return moved

    def _checkouts(self) -> list[Git]:
        """Return a git for each work tree that stands on the branch now: people switch branches while a run goes on."""
        entries = [w for w in query.worktrees(self.repository.own) if w.branch == self.name and not w.bare]
        places = [p for p in (Path(w.path) for w in entries) if p.is_dir() and not p.is_relative_to(self.agents_home)]
        config = _no_filters(self.repository.own) if places else {}
        return [_checkout_git(place, config) for place in places]

    def _follow(self, checkout: Git, old: CommitId, new: CommitId) -> None:
        if not (against := change.move_checkout(checkout, old, new)):
            return
        # Git takes some files for modified although they are as it wrote them; those need not stop anybody.
        changes = {c.path: (c.old_mode, c.old_blob) for c in query.changed_paths(checkout, old, new)}
        ours = [path for path, entry in untouched(checkout, changes).items() if entry == changes[path]]
        with set_aside(checkout, ours):
            if ours:
                against = change.move_checkout(checkout, old, new)
            if against:
                raise BaseBranchError(
                    f"{self.name} is checked out in {checkout.cwd}, and something there is in the way: {against}",
                    hint="Commit or move it away, then run again. The finished work is kept on its branch.",
                )


def open_base(repository: Repository, name: str | None, agents_home: Path) -> BaseBranch:
    """Find the base branch: the named one, or the one checked out in the repository.

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
            hint=f"Create it: git branch {name}"
            if has_any
            else "Make a first commit: git commit --allow-empty -m start",
        )
    return BaseBranch(name=name, repository=repository, agents_home=agents_home)


def _checkout_git(place: Path, config: Mapping[str, str]) -> Git:
    pointer = place / ".git"
    git_dir = pointer if pointer.is_dir() else Path(pointer.read_text().removeprefix("gitdir:").strip())
    if not git_dir.is_absolute():
        git_dir = (place / git_dir).resolve()
    return Git(git_dir=git_dir, cwd=place, work_tree=place, config=config)


def _no_filters(git: Git) -> dict[str, str]:
    """Return settings that switch every configured filter off: git must not start somebody's program for us.

    Files under a filter (large file storage) stay as they are stored until the user checks them out.
    """
    done = git.run("config", "-z", "--name-only", "--get-regexp", r"^filter\.", accept=(0, 1))
    names = [name for name in done.text.split("\0") if name]
    return {name: "false" if name.lower().endswith(".required") else "" for name in names}
