"""Worktrees as overlays: a template that is written out once, and for each worktree a layer with what differs from it.

Below the folder for the repository's worktrees, `.templates` holds worktrees that nobody may change, and `.layers/<run>/<name>`
what was changed in the worktree `<run>/<name>`, in `upper`. That is where an agent's work is: when the mount has gone, as it
does when the machine is started anew, the worktree is an empty folder, and shows all of it again once it is mounted again.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.effects import reached
from orchestrator.errors import GitError
from orchestrator.files import delete
from orchestrator.git import change, query
from orchestrator.worktrees.disk_use import bytes_taken
from orchestrator.worktrees.mounts import is_mounted, mount_overlay, unmount

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchestrator.git.repository import Repository

__all__ = ["Layer", "Layers", "Template"]

_TEMPLATES = ".templates"
_LAYERS = ".layers"
_DRAFT = ".draft-"
_MOST_CHANGES = 1000  # paths in which a commit may differ from a template and still start from it
_TRUSTED_FOR = (
    30.0  # seconds that a template is not looked at again; agents run as the same user, and could write there
)
NOT_MOUNTED = "NOT-MOUNTED.txt"
_EXPLANATION = """This folder is a worktree of orch that is not mounted, for instance since the machine was started anew.
What its agent changed is not lost; it is in {upper}.
`orch resume`, `orch recover` and `orch doctor` mount it again.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """A worktree at a commit that nobody changes, with the index that git wrote for it."""

    place: Path

    @property
    def commit(self) -> str:
        """The commit that it holds."""
        return self.place.name.partition(".")[0]

    @property
    def tree(self) -> Path:
        """The files."""
        return self.place / "tree"

    @property
    def index(self) -> Path:
        """The index file."""
        return self.place / "index"

    @property
    def spoiled(self) -> Path:
        """A file that is there if somebody has changed it: no worktree is made of it any more."""
        return self.place / "spoiled"


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """What was changed in one worktree."""

    place: Path

    @property
    def upper(self) -> Path:
        """The changed files."""
        return self.place / "upper"

    @property
    def aside(self) -> Path:
        """Where it is mounted while it is looked at by us alone."""
        return self.place / "aside"

    @property
    def untouched(self) -> bool:
        """Tell whether nobody can have worked here: it was never mounted."""
        try:
            return {place.name for place in self.upper.iterdir()} <= {".git"}
        except OSError:
            return True

    def lower(self) -> str:
        """Return the folder of the template that it changes; an empty text if it was not made whole."""
        try:
            return (self.place / "lower").read_text()
        except OSError:
            return ""

    def mount(self, folder: Path) -> None:
        """Mount it at a folder, which is empty or says that nothing is mounted there.

        Raises:
            OSError: it cannot be mounted.
        """
        if not is_mounted(folder):
            (folder / NOT_MOUNTED).write_text(_EXPLANATION.format(upper=self.upper))
            mount_overlay(Path(self.lower()), self.upper, self.place / "work", folder)


class Layers:
    """The layers of one run, whose worktrees are in `home`, and the templates that all runs of the repository share."""

    def __init__(self, repository: Repository, home: Path) -> None:
        self._repository = repository
        self._home = home
        self._templates = home.parent / _TEMPLATES
        self._layers = home.parent / _LAYERS
        self._lock = repository.runs_folder / "templates.lock"
        self._trusted: dict[Path, float] = {}

    def of(self, name: str) -> Layer | None:
        """Return the layer of a worktree, if it has one."""
        place = self._layers / self._home.name / name
        return Layer(place=place) if place.is_dir() else None

    def add(self, name: str, commit: str) -> tuple[Layer, Template]:
        """Make an empty layer for a worktree at a commit, over a template of that commit or of one near it.

        Raises:
            OSError, GitError: it cannot be made.
        """
        layer = Layer(place=self._layers / self._home.name / name)
        with change.file_lock(self._lock):  # until the layer names its template, it looks as if nobody needed it
            template = self._near(commit) or self._write(commit)
            delete(layer.place)
            for folder in (layer.upper, layer.place / "work"):
                folder.mkdir(parents=True)
            (layer.place / "lower").write_text(str(template.tree))
        return layer, template

    def _all(self) -> list[Template]:
        places = self._templates.iterdir() if self._templates.is_dir() else ()
        return [Template(place=place) for place in sorted(places) if not place.name.startswith(".")]

    def _near(self, commit: str) -> Template | None:
        found = []
        for template in self._all():
            with contextlib.suppress(GitError):  # its commit may be gone
                objects = self._repository.objects
                far = template.commit != commit and len(query.changed_paths(objects, template.commit, commit))
                if far <= _MOST_CHANGES and not template.spoiled.exists():
                    found.append((far, template))
        for _, template in sorted(found, key=lambda pair: pair[0]):
            if self._is_clean(template):
                return template
            template.spoiled.touch()
        return None

    def _is_clean(self, template: Template) -> bool:
        if time.monotonic() < self._trusted.get(template.place, 0.0):
            return True
        files = self._repository.objects.at(work_tree=template.tree, index=template.index)
        try:
            differs = files.run("status", "--porcelain", "-z", "--untracked-files=all", "--ignored").out
            differs += files.run("diff-index", "--cached", "-z", "--raw", template.commit).out
        except (GitError, OSError):
            return False
        if differs or os.path.lexists(template.tree / ".git"):
            return False
        self._trusted[template.place] = time.monotonic() + _TRUSTED_FOR
        return True

    def _write(self, commit: str) -> Template:
        self._templates.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=_DRAFT, dir=self._templates))
        try:
            (draft / "tree").mkdir()
            change.checkout(self._repository.objects.at(work_tree=draft / "tree", index=draft / "index"), commit)
            reached("template-written")
            place = self._templates / f"{commit}.{draft.name.removeprefix(_DRAFT)}"
            draft.rename(place)
        except BaseException:
            delete(draft)
            raise
        self._trusted[place] = time.monotonic() + _TRUSTED_FOR
        return Template(place=place)

    def take_down(self, folder: Path, trash: Path) -> None:
        """Unmount a worktree that nobody needs any more, and turn its layer into trash; without a layer, do nothing."""
        layer = self.of(folder.name)
        if layer is None:
            return
        unmount(folder, even_if_used=True)
        reached("layer-unmounted")
        layer.place.rename(trash)
        self._forget_run(layer)
        reached("layer-trashed")

    def bytes_taken(self) -> int:
        """Return how many bytes the layers of the run take; the templates are all runs'."""
        return bytes_taken(self._layers / self._home.name)

    def unmounted(self) -> list[Path]:
        """Return the worktrees of the run that have a layer and are not mounted."""
        place = self._layers / self._home.name
        names = sorted(each.name for each in place.iterdir()) if place.is_dir() else ()
        return [self._home / name for name in names if not is_mounted(self._home / name)]

    def bring_back(self) -> list[Path]:
        """Mount every worktree of the run that is not mounted; return those that cannot be."""
        failed = []
        for folder in self.unmounted():
            layer = self.of(folder.name)
            if layer is None or (not folder.exists() and layer.untouched):
                self.discard(folder)
                continue
            try:
                unmount(layer.aside, even_if_used=True)
                folder.mkdir(parents=True, exist_ok=True)
                layer.mount(folder)
            except OSError:
                failed.append(folder)
        return failed

    def discard(self, folder: Path) -> None:
        """Delete the layer of a worktree in which no agent ever worked, if there is one."""
        layer = self.of(folder.name)
        if layer is not None:
            unmount(folder, even_if_used=True)
            delete(layer.place)
            self._forget_run(layer)

    def _forget_run(self, layer: Layer) -> None:
        for folder in (layer.place.parent, self._layers):
            with contextlib.suppress(OSError):  # it holds another layer
                folder.rmdir()

    def is_empty_shell(self, folder: Path) -> bool:
        """Tell whether a folder is what a kill leaves of a worktree that was being removed: its layer has gone already."""
        try:
            return self.of(folder.name) is None and [place.name for place in folder.iterdir()] == [NOT_MOUNTED]
        except OSError:
            return False

    @contextlib.contextmanager
    def set_aside(self, folder: Path) -> Iterator[Path]:
        """Unmount a worktree, so that nobody can write to it any more, and show it elsewhere meanwhile; yield where.

        Raises:
            OSError: somebody works in it, or it cannot be mounted.
        """
        layer = self.of(folder.name)
        assert layer is not None, "a worktree without a layer is simply renamed"
        unmount(folder)
        layer.aside.mkdir(exist_ok=True)
        try:
            layer.mount(layer.aside)
            yield layer.aside
        finally:
            unmount(layer.aside, even_if_used=True)

    def clear(self, *, keep_newest: bool, dry_run: bool = False) -> list[Path]:
        """Delete the templates that no layer needs, all of them or all but the newest; return what is deleted."""
        if not self._templates.is_dir():
            return []
        with change.file_lock(self._lock):
            needed = {Layer(place=place).lower() for place in self._layers.glob("*/*")}
            idle = [template for template in self._all() if str(template.tree) not in needed]
            sound = [template.place for template in idle if not template.spoiled.exists()]
            kept = max(sound, key=lambda place: place.stat().st_mtime, default=None) if keep_newest else None
            going = [template.place for template in idle if template.place != kept]
            for place in () if dry_run else (*going, *self._templates.glob(f"{_DRAFT}*")):
                delete(place)
        for folder in (self._templates, self._templates.parent):
            with contextlib.suppress(OSError):  # it is needed
                folder.rmdir()
        return going
