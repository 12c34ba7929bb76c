"""Contracts first: what the plan agrees on is written and committed to the base branch before any agent starts."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from orchestrator.errors import BaseBranchError
from orchestrator.git import change, query
from orchestrator.model.plan import spec_hash
from orchestrator.model.trailers import Provenance, message_with
from orchestrator.planfile import contract_files, contracts_hash

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from orchestrator.base_branch import BaseBranch
    from orchestrator.git.parse import CommitId
    from orchestrator.planfile import LoadedPlan

__all__ = ["write_contracts"]


def _refuse_to_replace(base: BaseBranch, tip: CommitId, files: Iterable[str]) -> None:
    """Raise if a contract would stand where the base branch has a folder, or below what is a file there.

    Raises:
        BaseBranchError: it would; git would silently delete what is there.
    """
    there = query.files_at(base.repository.objects, tip)
    folders = {str(folder) for path in there for folder in PurePosixPath(path).parents}
    for path in files:
        above = next((str(p) for p in PurePosixPath(path).parents if str(p) in there), None)
        if above or path in folders:
            raise BaseBranchError(
                f"The contract {path} cannot be written: {above or path} is a {'file' if above else 'folder'} on {base.name}.",
                hint="Choose another path for the contract. Nothing was changed.",
            )


def write_contracts(loaded: LoadedPlan, base: BaseBranch, run: str, index: Path) -> tuple[CommitId, CommitId] | None:
    """Write a commit with the contracts on top of the base branch; return the branch's tip and that commit.

    None if the branch has exactly them already. Nothing refers to the commit yet.

    Raises:
        BaseBranchError: what stands on the branch is in the way.
    """
    files = contract_files(loaded)
    if not files:
        return None
    git = base.repository.objects.at(index=index)
    tip = base.tip()
    _refuse_to_replace(base, tip, files)
    tree = change.tree_with(git, tip, files)
    if tree == query.tree_of(git, tip):
        return None
    digest = contracts_hash(files)
    provenance = Provenance(
        run=run, task="contracts", track="-", generation=1, session="orch", agent="plan", model="plan@1",
        spec_hash=spec_hash(loaded.plan.contracts), context_hash=loaded.sha256[:16], contracts_hash=digest,
        content_hash=digest, work_product=f"refs/heads/{base.name}",
    )  # fmt: skip
    subject = f"contracts: what {loaded.plan.name} agrees on"
    commit = change.commit_tree(git, tree, [tip], message_with(subject, "", provenance), "contracts plan plan@1")
    return tip, commit
