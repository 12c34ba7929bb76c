"""What trials are of: a plan on a copy of a repository, or a simulation; each trial gets a repository of its own."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from orchestrator.compare.coupling import coupling_of_plan
from orchestrator.compare.simulate import generate, is_simulation
from orchestrator.git import change, query
from orchestrator.git.command import Git
from orchestrator.git.repository import Repository
from orchestrator.model.globs import Scope
from orchestrator.plan_of_run import pin_plan
from orchestrator.planfile import load_plan
from orchestrator.syntax.parse import language_of

if TYPE_CHECKING:
    from pathlib import Path

    from orchestrator.base_branch import BaseBranch
    from orchestrator.compare.simulate import Simulation
    from orchestrator.model.plan import Plan
    from orchestrator.planfile import LoadedPlan

__all__ = ["PlanSource", "SimulationSource", "Source", "texts_at"]

_LARGEST = 1_000_000  # bytes; no person wrote a longer file of code


class Source(Protocol):
    """What every trial begins with. `sha256` and `commit` tell whether two series are of the same work."""

    @property
    def loaded(self) -> LoadedPlan:
        """The plan, or one such as is made for each trial."""

    @property
    def sha256(self) -> str:
        """The hash of all that is asked for."""

    @property
    def commit(self) -> str:
        """The commit at which the base branch stands; empty if there is no repository yet."""

    @property
    def simulated(self) -> bool:
        """Whether a model is only simulated."""

    @property
    def coupling(self) -> float | None:
        """The share of parts that use what others establish."""

    def seed_of(self, run: int) -> int | None:
        """Return the seed of the trials of this number; None if nothing in them can be seeded."""

    def make(self, folder: Path, run: int) -> tuple[Path, Repository]:
        """Write the plan of a trial into a new folder, and make its repository there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanSource:
    """A plan, and a copy of the repository as it was when the comparison began; the repository itself is only read."""

    loaded: LoadedPlan
    sha256: str
    commit: str
    simulated: bool
    coupling: float | None
    copy: Path
    branch: str

    @classmethod
    def of(cls, loaded: LoadedPlan, repository: Repository, base: BaseBranch, folder: Path) -> PlanSource:
        """Copy the base branch of a repository into a folder."""
        copy = folder / "start.git"
        _clone(repository.common_dir, copy, base.name)
        commit = query.tip(Repository.open(copy).own, base.name)
        assert commit is not None, "it was cloned"
        coupling = coupling_of_plan(loaded, texts_at(repository, commit, loaded.plan)).share
        return cls(
            loaded=loaded, sha256=loaded.sha256, commit=commit, simulated=is_simulation(loaded.plan), coupling=coupling,
            copy=copy, branch=base.name,
        )  # fmt: skip

    def seed_of(self, run: int) -> int | None:  # noqa: ARG002 - agents take no seed
        """Return None: agents take no seed."""
        return None

    def make(self, folder: Path, run: int) -> tuple[Path, Repository]:  # noqa: ARG002 - all begin alike
        """Write the plan of a trial into a new folder, and clone the copy there."""
        pin_plan(self.loaded, folder / "plan")
        _clone(self.copy, folder / "repository.git", self.branch)
        return folder / "plan" / "plan.yaml", Repository.open(folder / "repository.git")


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulationSource:
    """A simulation, made anew for each trial from its seed; the trials of one number have the same plan in every mode."""

    simulation: Simulation
    seed: int
    loaded: LoadedPlan
    sha256: str
    coupling: float | None
    commit: str = ""
    simulated: bool = True

    @classmethod
    def of(cls, simulation: Simulation, seed: int, folder: Path) -> SimulationSource:
        """Generate one plan, to see what plans of this simulation are like."""
        path = folder / "plan.yaml"
        path.write_text(generate(simulation, seed).plan)
        loaded = load_plan(path)
        sha256 = hashlib.sha256(simulation.model_dump_json().encode()).hexdigest()
        coupling = coupling_of_plan(loaded, {}).share
        return cls(simulation=simulation, seed=seed, loaded=loaded, sha256=sha256, coupling=coupling)

    def seed_of(self, run: int) -> int:
        """Return the seed of the trials of this number."""
        return self.seed + run

    def make(self, folder: Path, run: int) -> tuple[Path, Repository]:
        """Generate plan and repository of a trial in a new folder."""
        made = generate(self.simulation, self.seed_of(run))
        folder.mkdir(parents=True)
        (folder / "plan.yaml").write_text(made.plan)
        git_dir = folder / "repository.git"
        Git(git_dir=git_dir, cwd=folder).run("init", "--quiet", "--bare", "--initial-branch=main", git_dir)
        own = Repository.open(git_dir)
        files = {name: text.encode() for name, text in made.files.items()}
        tree = change.tree_with(own.own, own.own.run("mktree").text, files)
        commit = change.commit_tree(own.own, tree, [], "simulation: where a trial begins", "orch")
        change.move_ref(own.own, "refs/heads/main", commit, None)
        return folder / "plan.yaml", own


def texts_at(repository: Repository, commit: str, plan: Plan) -> dict[str, str]:
    """Return the files of known languages in the scopes of a plan's tasks, as they stand in a commit."""
    scope = Scope([glob for task in plan.tasks for glob in plan.owned(task) if not glob.startswith("!")])
    blobs = query.files_at(repository.own, commit)
    wanted = {path: blob for path, (_, blob) in blobs.items() if language_of(path) and scope.matches(path)}
    contents = {path: query.read_blob(repository.own, blob) for path, blob in wanted.items()}
    return {path: content.decode("utf-8", "replace") for path, content in contents.items() if len(content) <= _LARGEST}


def _clone(source: Path, target: Path, branch: str) -> None:
    """Clone one branch of a repository on this machine, the only place from which it may come."""
    target.parent.mkdir(parents=True, exist_ok=True)
    options = ("--quiet", "--bare", "--single-branch", "--no-tags", "--branch", branch)
    git = Git(git_dir=target, cwd=target.parent)
    git.run("clone", *options, source, target, env={"GIT_ALLOW_PROTOCOL": "file"})
