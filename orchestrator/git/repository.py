"""The user's repository: where its parts lie, and the three gits that work on it.

* `own` runs on the repository itself: refs, worktree records, the user's own checkout.
* `objects` runs on a git folder of the run that holds nothing but a configuration of ours, with the repository's object
  store: commits, trees, merges, diffs. Filters, drivers and text conversions that somebody wrote into the repository's
  configuration are unknown to it.
* `objects.at(work_tree, index)` is the same for the files of one attempt. Conversions of line ends and encodings are off
  there: what an agent wrote is, byte for byte, what is committed.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.effects import reached
from orchestrator.errors import UsageError
from orchestrator.git.command import Git

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Repository", "private_git_folder"]

# Highest precedence of all attribute files, so that no .gitattributes of an agent has a say in its own worktree.
_RAW_BYTES = "* -text -filter -ident -working-tree-encoding -eol\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Repository:
    """One git repository, found once and named by its parts."""

    common_dir: Path
    work_tree: Path | None
    own: Git
    objects: Git
    runs_folder: Path
    refs_in_files: bool

    @classmethod
    def open(cls, folder: Path) -> Repository:
        """Find the repository around a folder.

        Raises:
            UsageError: there is none, or it is of a sort that cannot be worked on (partial clone).
        """
        from git import InvalidGitRepositoryError, NoSuchPathError, Repo

        try:
            with Repo(folder, search_parent_directories=True) as repo:
                common, git_dir = Path(repo.common_dir).resolve(), Path(repo.git_dir).resolve()
                work_tree = Path(repo.working_tree_dir).resolve() if repo.working_tree_dir else None
        except (InvalidGitRepositoryError, NoSuchPathError) as error:
            raise UsageError(
                f"{folder} is not in a git repository.", hint="Run this inside one, or name it with --repo DIR."
            ) from error
        own = Git(git_dir=git_dir, cwd=work_tree or common, work_tree=work_tree).staying()
        extensions = own.run(
            "config", "--local", "--name-only", "--get-regexp", r"^extensions\.", accept=(0, 1)
        ).text.split()
        if "extensions.partialclone" in extensions:
            raise UsageError(
                f"{common} is a partial clone: objects that are not here yet cannot be merged safely.",
                hint="Fetch everything first: git fetch --refetch --no-filter.",
            )
        return cls(
            common_dir=common, work_tree=work_tree, own=own, objects=own, runs_folder=common / "orch",
            refs_in_files="extensions.refstorage" not in extensions,
        )  # fmt: skip

    def runs(self) -> Iterator[Path]:
        """Yield the folders of the runs that this repository remembers, newest first."""
        if self.runs_folder.is_dir():
            folders = [f for f in self.runs_folder.iterdir() if f.is_dir() and not f.name.startswith(".")]
            yield from sorted(folders, key=lambda f: (f.stat().st_ctime_ns, f.name), reverse=True)


def private_git_folder(repository: Repository, parent: Path) -> Git:
    """Make a git folder that holds only our configuration, and return a git on it with the repository's objects."""
    folder = Path(tempfile.mkdtemp(prefix="git-", dir=parent))
    sha256 = repository.own.text("rev-parse", "--show-object-format") == "sha256"
    (folder / "info").mkdir()
    (folder / "refs").mkdir()
    (folder / "objects").mkdir()
    (folder / "HEAD").write_text("ref: refs/heads/none\n")
    (folder / "config").write_text(
        f"[core]\n\trepositoryFormatVersion = {1 if sha256 else 0}\n\tbare = false\n\tfileMode = true\n\tsymlinks = true\n"
        "\tignoreCase = false\n\tlogAllRefUpdates = false\n"
        + ("[extensions]\n\tobjectFormat = sha256\n" if sha256 else "")
    )
    (folder / "info" / "attributes").write_text(_RAW_BYTES)
    shallow = repository.common_dir / "shallow"
    if shallow.exists():  # else history seems to go on where this clone ends
        (folder / "shallow").write_bytes(shallow.read_bytes())
    exclude = repository.common_dir / "info" / "exclude"
    if exclude.is_file():  # what its owner wants ignored here
        (folder / "info" / "exclude").write_bytes(exclude.read_bytes())
    reached("git-folder-made")
    return Git(git_dir=folder, cwd=folder, objects=repository.common_dir / "objects").staying()
