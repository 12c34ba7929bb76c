"""`orch doctor --probe AGENT`: lets an agent show in half a minute that it can do what a task asks of it."""

from __future__ import annotations

import json
import secrets
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.cli.common import say
from orchestrator.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from orchestrator.git.repository import Repository
    from orchestrator.planfile import LoadedPlan
    from orchestrator.probe import Probe

__all__ = ["probe_agent"]

_PLAN = Path("plan.yaml")


def probe_agent(repository: Repository, name: str, plan: Path | None, seconds: float, *, as_json: bool) -> int:
    """Probe an agent of a plan, or a kind or preset of that name, and say what it has shown.

    Raises:
        UsageError: nothing of that name is known.
        PlanError: the plan is not valid, or the agent cannot be started here.
    """
    from orchestrator.files import delete
    from orchestrator.leftovers.owned_folder import PROBE, owned_folder

    spec, sources = _spec_of(name, plan)
    repository.runs_folder.mkdir(exist_ok=True)
    with owned_folder(PROBE, repository.runs_folder) as folder:
        for file, content in sources.items():
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            (folder / file).write_bytes(content)
        kept = False
        try:
            found, transcripts = _probed_in(folder, name, spec, seconds)
            if as_json:
                say([json.dumps({"probe": {**asdict(found), "passed": found.passed}})])
            else:
                kept = not found.passed
                say([*found.lines(), *([f"What it did: {transcripts}"] if kept else [])])
        finally:
            if not kept:
                delete(folder)
    return ExitCode.LANDED if found.passed else ExitCode.NOT_LANDED


def _probed_in(folder: Path, name: str, spec: dict[str, Any], seconds: float) -> tuple[Probe, Path]:
    """Run the probe in a folder of its own; return what it has shown, and where its transcripts are."""
    from orchestrator.cli.running import carry_out
    from orchestrator.driver import Recorder
    from orchestrator.model.state import RunState
    from orchestrator.planfile import load_plan
    from orchestrator.probe import found_by, own_repository, plan_for
    from orchestrator.run import begin_run

    (folder / "plan.yaml").write_text(plan_for(spec, seconds))
    loaded, own = load_plan(folder / "plan.yaml"), own_repository(folder)
    run, recorder = f"probe-{secrets.token_hex(2)}", Recorder(state=RunState(), tell=lambda _event, _state: None)
    started = time.monotonic()
    _report, interrupted = carry_out(
        lambda recorder: begin_run(loaded, own, run=run, jobs=1, recorder=recorder), recorder
    )
    if interrupted:
        raise KeyboardInterrupt
    return found_by(name, own, recorder.state, time.monotonic() - started), own.runs_folder / run / "transcripts"


def _spec_of(name: str, plan: Path | None) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Return how the agent is started, as a plan says it, and the files that this names."""
    from orchestrator.agents.preset import preset_names
    from orchestrator.planfile import load_plan

    loaded: LoadedPlan | None = load_plan(plan or _PLAN) if plan or _PLAN.is_file() else None
    if loaded is not None and name in loaded.plan.agents:
        spec = loaded.plan.agents[name].model_dump(mode="json", exclude_unset=True, exclude={"probe"})
        preset = str(spec.get("preset"))
        return spec, {preset: loaded.sources[preset]} if preset in loaded.sources else {}
    if name in preset_names():
        return {"kind": "command", "preset": name}, {}
    kind, _, model = name.partition(":")
    if kind == "anthropic":
        return {"kind": kind, **({"model": model} if model else {})}, {}
    known = [*(loaded.plan.agents if loaded else ()), "anthropic[:MODEL]", *preset_names()]
    raise UsageError(f"There is no agent {name!r} to probe.", hint=f"Known here: {', '.join(known)}.")
