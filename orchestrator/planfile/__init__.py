"""Reads `plan.yaml`: either a valid plan with all the files it names, or every problem at once, each with its line."""

from orchestrator.planfile.contents import contract_files, contracts_hash, patches_of
from orchestrator.planfile.reader import LoadedPlan, load_plan

__all__ = ["LoadedPlan", "contract_files", "contracts_hash", "load_plan", "patches_of"]
