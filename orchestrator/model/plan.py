"""The plan as values: what `plan.yaml` says, every single value checked, and nothing about how values fit together.

`model.plan_rules` judges how the parts fit; `planfile` reads the file and says where a fault is.
The shape is the one of `docs/plan.md`; unknown keys are errors.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from orchestrator.model import globs
from orchestrator.model.plan_steps import (
    ApplyPatch,
    AskPerson,
    ClaimTodo,
    DeleteFile,
    Fail,
    FileText,
    FinishTodo,
    OnlyWhen,
    Report,
    RunCommand,
    Sleep,
    Step,
    StreamFile,
    When,
    WidenScope,
    WriteFile,
)
from orchestrator.model.plan_values import (
    PLAN_NAME,
    BranchName,
    ClassReference,
    Command,
    GlobText,
    Label,
    Name,
    Network,
    Positive,
    RepoPath,
    Strict,
    TaskName,
    VariableName,
    described,
    parse_duration,
    repository_path,
)
from orchestrator.model.plan_worktree import WorktreeSetup

if TYPE_CHECKING:
    from pydantic import GetJsonSchemaHandler
    from pydantic_core import CoreSchema

__all__ = [
    "AgentKind",
    "AgentSpec",
    "ApplyPatch",
    "AskPerson",
    "ClaimTodo",
    "ContractFile",
    "Contracts",
    "DeleteFile",
    "Fail",
    "FileText",
    "FinishTodo",
    "Gate",
    "GateBaseline",
    "Implementation",
    "MergePolicy",
    "OnlyWhen",
    "Plan",
    "Report",
    "RunCommand",
    "RunLimits",
    "SharedFiles",
    "Sleep",
    "Step",
    "StreamFile",
    "Strict",
    "Task",
    "TaskBudget",
    "TaskLimits",
    "TodoSpec",
    "Track",
    "When",
    "WidenScope",
    "WorktreeSetup",
    "WriteFile",
    "parse_duration",
    "repository_path",
    "spec_hash",
]

AgentKind = Literal["script", "command", "anthropic", "acp"]
Confine = Literal["auto", "landlock", "bubblewrap", "audit"]
Effort = Literal["low", "medium", "high", "xhigh", "max"]
GateBaseline = Literal["must-pass", "no-new-failures"]


class ContractFile(Strict):
    """One contract file's text: written in the plan, or read from a file beside it (`from`)."""

    text: str | None = None
    source: str | None = Field(default=None, alias="from", min_length=1, description="a file beside the plan")

    @model_validator(mode="before")
    @classmethod
    def _plain_text(cls, value: object) -> object:
        if isinstance(value, str):
            return {"text": value}
        if isinstance(value, (dict, ContractFile)):
            return value
        raise ValueError(f"{described(value)} is no contract; write its text, or {{from: a path beside the plan}}")

    @model_validator(mode="after")
    def _exactly_one(self) -> ContractFile:
        if (self.text is None) == (self.source is None):
            raise ValueError("a contract file is either its text or {from: a path beside the plan}")
        return self

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        reference = handler(core)
        schema = handler.resolve_ref_schema(reference)
        as_mapping = {k: v for k, v in schema.items() if k not in {"title", "description"}}
        for key in as_mapping:
            del schema[key]
        schema["anyOf"] = [{"type": "string"}, as_mapping]
        return reference


class Implementation(Strict):
    """Who must implement what: the class `by` offers all that `interface` names, once `task` has worked."""

    interface: ClassReference = Field(description="the contract, as package.module:Class")
    by: ClassReference = Field(description="the class that implements it, as package.module:Class")
    task: str = Field(description="the id of the task that writes it")


class Contracts(Strict):
    """What is agreed before any agent starts: committed to the base first, and read-only for every task."""

    files: dict[RepoPath, ContractFile] = Field(default={}, description="path in the repository to text")
    implementations: tuple[Implementation, ...] = ()


class Track(Strict):
    """A named, exclusive territory of paths."""

    owns: tuple[GlobText, ...] = Field(min_length=1, description="globs of the paths it owns")
    mode: Literal["worktree", "crdt"] = Field(
        default="worktree",
        description="whether its tasks have worktrees of their own, or write into shared files together",
    )


class AgentSpec(Strict):
    """How an agent is started: its kind, and what that kind needs."""

    kind: AgentKind = Field(description="script, command, anthropic or acp")
    preset: str | None = Field(default=None, description="a known coding program, or a .yaml file beside the plan")
    model: str | None = Field(default=None, description="the model's name")
    command: Command = Field(default=None, description="the program and its arguments, for kind command or acp")
    mode: str | None = Field(default=None, min_length=1, description="the mode of its sessions, for kind acp")
    effort: Effort | None = Field(default=None, description="how much the model is to think, for kind anthropic")
    confine: Confine = Field(
        default="auto", description="what keeps its programs in their place; auto: the best there is"
    )
    writable: Literal["scope", "worktree"] = Field(default="scope", description="what its programs may write")
    network: Network = Field(default="open", description="open, or the TCP ports that its programs may connect to")
    env: tuple[VariableName, ...] = Field(default=(), description="variables that its programs get from orch's own")
    probe: bool = Field(default=False, description="whether it must show what it can do before it gets its first task")

    @model_validator(mode="after")
    def _fits_kind(self) -> AgentSpec:
        if self.kind == "command" and (self.preset is None) == (self.command is None):
            raise ValueError("an agent of kind 'command' needs either 'command' or 'preset'")
        if self.kind == "acp" and (self.command is None or self.preset is not None):
            raise ValueError("an agent of kind 'acp' needs 'command', its program and arguments, and takes no 'preset'")
        if self.kind == "script" and (self.command is not None or self.preset is not None):
            raise ValueError("an agent of kind 'script' runs the task's 'steps'; it takes no 'command' and no 'preset'")
        if self.kind == "anthropic" and (self.command is not None or self.preset is not None):
            raise ValueError("an agent of kind 'anthropic' takes a 'model', but no 'command' and no 'preset'")
        if self.effort is not None and self.kind != "anthropic":
            raise ValueError(f"an agent of kind '{self.kind}' takes no 'effort'; leave it out")
        if self.mode is not None and self.kind != "acp":
            raise ValueError(f"an agent of kind '{self.kind}' takes no 'mode'; leave it out")
        if self.probe and self.kind == "script":
            raise ValueError("an agent of kind 'script' has no model to probe; leave 'probe' out")
        return self


class TodoSpec(Strict):
    """One piece of a task that is claimed and reported on the board."""

    id: Name = Field(description="its name, unique in the task")
    title: str = ""


class TaskLimits(Strict):
    """Where one attempt at a task is stopped; `wall` and `stall` in seconds."""

    wall: Positive = Field(default=1800.0, description="time in all", json_schema_extra={"default": "30m"})
    stall: Positive | None = Field(default=None, description="time without a sign of life")
    cost_usd: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    tokens: int | None = Field(default=None, ge=1, description="tokens in, cached ones too, and out")
    turns: int | None = Field(default=None, ge=1)


class TaskBudget(Strict):
    """What all attempts at one task may use together; `wall` in seconds."""

    wall: Positive | None = Field(default=None, description="time of its agents in all")
    cost_usd: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    tokens: int | None = Field(default=None, ge=1, description="tokens in, cached ones too, and out")
    turns: int | None = Field(default=None, ge=1)


class Task(Strict):
    """One piece of work for one agent."""

    id: TaskName = Field(description="its name, unique in the plan, such as A-001")
    title: str = ""
    track: str | None = Field(default=None, description="the track whose paths it may write")
    writes: tuple[GlobText, ...] | None = Field(default=None, description="globs of the paths it may write")
    needs: tuple[str, ...] = Field(default=(), description="ids of the tasks whose landed work it builds on")
    prompt: str = Field(default="", description="what the agent is told")
    todos: tuple[TodoSpec, ...] = ()
    agent: str = Field(default="default", description="the name of one of the plan's agents")
    attempts: int = Field(default=3, ge=1, le=100, description="generations before it counts as failed")
    limits: TaskLimits = Field(default=TaskLimits(), json_schema_extra={"default": {}})
    budget: TaskBudget = Field(default=TaskBudget(), description="what all its attempts may use together")
    steps: tuple[Step, ...] = Field(default=(), description="what an agent of kind script does")


class Gate(Strict):
    """A command that must succeed on the tree that is about to land; `timeout` in seconds."""

    name: Name = Field(description="its name, unique in the plan")
    run: str = Field(min_length=1, description="the shell command")
    timeout: Positive = Field(default=600.0, json_schema_extra={"default": "10m"})
    baseline: GateBaseline = Field(default="must-pass", description="whether what fails on the base may go on failing")
    confine: Literal["auto", "landlock", "audit"] = Field(default="auto", description="what keeps it in its folder")


class RunLimits(Strict):
    """Where the whole run is stopped; `wall` in seconds."""

    jobs: int | None = Field(default=None, ge=1, le=1000, description="agents at work at one time")
    cost_usd: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    tokens: int | None = Field(default=None, ge=1, description="tokens of all attempts, in and out")
    turns: int | None = Field(default=None, ge=1, description="turns of all attempts")
    wall: Positive | None = None


class MergePolicy(Strict):
    """How work lands."""

    window: int = Field(default=8, ge=1, le=1000, description="finished tasks that are tried together")
    slots: int | None = Field(default=None, ge=1, le=1000, description="runs of the gates at one time")
    batch: int = Field(default=1, ge=1, le=1000, description="finished tasks that may share one run of the gates")
    strategy: Literal["merge", "squash"] = Field(
        default="merge", description="merge: the work's own commit and a merge commit; squash: one commit a task"
    )


class SharedFiles(Strict):
    """What mode crdt needs beside the tasks: files that begin with a text, and who begins and mends."""

    files: dict[RepoPath, ContractFile] = Field(
        default={}, description="path of a shared file to the text it begins with"
    )
    outliner: str | None = Field(default=None, description="the agent that writes what the others fill in")
    reconciler: str | None = Field(default=None, description="the agent that mends what does not fit together")


class Plan(Strict):
    """All that `plan.yaml` says."""

    model_config = ConfigDict(title="orch plan")

    version: Literal[1] = Field(description="the format's version: 1")
    name: str = Field(pattern=PLAN_NAME, max_length=60, description="part of branch names, such as user-management")
    base: BranchName | None = Field(default=None, description="the branch the work lands on")
    contracts: Contracts = Contracts()
    shared: tuple[GlobText, ...] = Field(default=(), description="globs that any task may read and none may write")
    tracks: dict[Label, Track] = Field(default={}, description="exclusive territory, by name")
    agents: dict[Label, AgentSpec] = Field(default={}, description="how agents are started, by name")
    tasks: tuple[Task, ...] = Field(min_length=1, description="the work")
    gates: tuple[Gate, ...] = ()
    fallback: Literal["none", "sequential"] = Field(
        default="none", description="what follows if nothing lands: nothing, or one agent that does all of it"
    )
    limits: RunLimits = RunLimits()
    merge: MergePolicy = MergePolicy()
    worktree: WorktreeSetup = Field(default=WorktreeSetup(), json_schema_extra={"default": {}})
    crdt: SharedFiles = Field(default=SharedFiles(), json_schema_extra={"default": {}})

    @field_validator("version", mode="before")
    @classmethod
    def _readable(cls, value: object) -> object:
        # A literal compares with ==, which takes true and 1.0 for 1.
        if type(value) is not int or value != 1:
            raise ValueError(f"{described(value)} is no version that this program reads; write version: 1")
        return value

    def agent_of(self, task: Task) -> AgentSpec:
        """Return how the task's agent is started; without an entry, `default` is the script agent."""
        return self.agents.get(task.agent, AgentSpec(kind="script"))

    def task(self, task_id: str) -> Task:
        """Return the task with that id.

        Raises:
            KeyError: the plan has no such task.
        """
        for task in self.tasks:
            if task.id == task_id:
                return task
        raise KeyError(task_id)

    def owned(self, task: Task) -> tuple[str, ...]:
        """Return the globs that bound what the task may write, before contracts and shared paths are taken out."""
        if task.writes is not None:
            return task.writes
        return self.tracks[task.track].owns if task.track in self.tracks else ()

    def protected(self) -> tuple[str, ...]:
        """Return the globs that no task may write: the contract files, and what is shared."""
        return (*(globs.escape(path) for path in self.contracts.files), *self.shared)


def spec_hash(value: BaseModel) -> str:
    """Return 16 hex digits of the SHA-256 over a value's canonical JSON (sorted keys, no spaces, UTF-8)."""
    canonical: Any = value.model_dump(mode="json", by_alias=True)
    text = json.dumps(canonical, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
