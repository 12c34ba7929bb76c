"""The crew: one attempt at one task, from claim to submission. It meets landing through events only."""

from __future__ import annotations

import asyncio
import hashlib
import uuid
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from orchestrator.agents.base import Assignment
from orchestrator.agents.briefing import briefing_for
from orchestrator.agents.transcript import Transcript
from orchestrator.checks.submission import check_boundary, check_contracts
from orchestrator.confine.level import level_of
from orchestrator.crew.confining import confined
from orchestrator.crew.desk import AttemptDesk
from orchestrator.crew.setting_up import set_up_and_work
from orchestrator.effects import reached
from orchestrator.errors import BoardError, GitError, WorkspaceError
from orchestrator.files import write_whole
from orchestrator.git import change, query
from orchestrator.git.gc_lock import no_gc
from orchestrator.model import events as happened
from orchestrator.model.budget import limited
from orchestrator.model.feedback import feedback_on, first_error
from orchestrator.model.outcome import OutcomeStatus
from orchestrator.model.plan import spec_hash
from orchestrator.model.todo import TaskCard
from orchestrator.model.trailers import Provenance, message_with
from orchestrator.planfile import contract_files, contracts_hash
from orchestrator.processes.table import boot_id, start_time
from orchestrator.text.door import SharedDoor
from orchestrator.worktrees.snapshots import Snapshots

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator

    from orchestrator.board.seat import Seat
    from orchestrator.context import RunContext
    from orchestrator.git.parse import Change, CommitId
    from orchestrator.model.finding import CheckResult
    from orchestrator.model.globs import Scope
    from orchestrator.model.outcome import Outcome
    from orchestrator.model.plan import Task
    from orchestrator.model.shares import Share
    from orchestrator.model.state import TaskState
    from orchestrator.worktrees.snapshots import Snapshot
    from orchestrator.worktrees.workspace import Captured, Workspace

__all__ = ["Attempt", "attempt", "branch_of", "take_in"]

_REMARKS = 10  # a person reads no more about one attempt
_TRIES = 3  # at taking in what an attempt left


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One generation of one task, and what it is known by."""

    context: RunContext
    task: Task
    generation: int
    session: str
    commit: CommitId
    briefing: str

    @property
    def name(self) -> str:
        """What its folder, its prompt and its transcript are called."""
        return f"{self.task.id}.gen-{self.generation}"

    @property
    def branch(self) -> str:
        """The branch that keeps its work."""
        return branch_of(self.context.run, self.task.id, self.generation)

    def refuse(self, reason: str, feedback: str, *, stopped: bool = False, final: bool = False) -> None:
        """Give this generation up; `stopped` if its work is not to blame, `final` if another would end the same way."""
        self.context.refuse(self.task.id, self.generation, reason, feedback, stopped=stopped, final=final)

    def note_process(self, pid: int) -> None:
        """Write down a process of this attempt, so that whoever takes the run over can end it."""
        self.context.emit(happened.ProcessStarted(
            task=self.task.id, generation=self.generation, pid=pid, started=start_time(pid), boot=boot_id()
        ))  # fmt: skip

    def remark(self, text: str) -> None:
        """Tell the user something about this attempt that changes nothing."""
        self.context.emit(happened.Noticed(task=self.task.id, text=text))

    def provenance(self, changes: Iterable[Change]) -> Provenance:
        """Return what the trailers of this attempt's commit say."""
        loaded = self.context.loaded
        return Provenance(
            run=self.context.run,
            task=self.task.id,
            track=self.task.track or "-",
            generation=self.generation,
            session=self.session,
            agent=self.task.agent,
            model=self.context.agents[self.task.agent].model,
            spec_hash=spec_hash(self.task),
            context_hash=hashlib.sha256(f"{self.commit}\0{self.briefing}".encode()).hexdigest()[:16],
            contracts_hash=contracts_hash(contract_files(loaded)),
            content_hash=_content_hash(changes),
            work_product=f"refs/heads/{self.branch}",
        )


def branch_of(run: str, task: str, generation: int) -> str:
    """Return the branch that keeps the work of a generation."""
    return f"orch/{run}/{task}/gen-{generation}"


async def attempt(context: RunContext, task: Task, state: TaskState, generation: int) -> None:
    """Run one generation of a task; it ends in a `Submitted` or a `Refused` event, whatever the agent does."""
    earlier = [(r.generation, branch_of(context.run, task.id, r.generation), r.feedback) for r in state.refusals]
    texts = {path: content.decode("utf-8", "replace") for path, content in contract_files(context.loaded).items()}
    this = Attempt(
        context=context,
        task=task,
        generation=generation,
        session=uuid.uuid4().hex[:12],
        commit=await asyncio.to_thread(context.base.tip),
        briefing=briefing_for(context.loaded.plan, task, texts, earlier),
    )
    await context.settle()
    async with _seat(this) as seat:
        async with context.worktrees.attempt(
            this.name, this.commit, context.boundary(task.id).scope, disk=context.loaded.plan.worktree.disk
        ) as space:
            async with _heartbeats(this, space) as keep:
                outcome = await _work(this, space, seat, keep)
            try:
                captured, commit = await take_in(this, space, outcome)
            except (GitError, WorkspaceError) as error:
                said = error.stderr if isinstance(error, GitError) else error.message
                this.refuse(f"git cannot take in what the agent left: {said.strip()}", said)
                return
            for remark in captured.remarks[:_REMARKS]:
                context.emit(happened.Noticed(task=task.id, text=remark))
            reached("work-kept")
        if not outcome.done:
            stopped = outcome.status in (OutcomeStatus.STOPPED, OutcomeStatus.PUT_OFF)
            reason = f"the agent {outcome.status}: {outcome.reason}"
            this.refuse(reason, outcome.reason, stopped=stopped, final=outcome.final)
            return
        results = await asyncio.to_thread(_check, this, captured)
        for result in results:
            context.emit(happened.Checked(task=task.id, generation=generation, stage="submission", result=result))
        if failed := [result for result in results if not result.passed]:
            this.refuse(f"check {failed[0].name} failed: {first_error(failed[0])}", feedback_on(failed))
            return
        await context.look_around(task.id, this.commit, commit)
        await seat.submit(task.id, generation, commit)
        files = len(captured.changes)
        context.emit(happened.Submitted(task=task.id, generation=generation, commit=commit, files=files))


@asynccontextmanager
async def _heartbeats(this: Attempt, space: Workspace) -> AsyncIterator[Callable[[], Awaitable[None]]]:
    """Take snapshots of the worktree now and then, for as long as the agent works; lend what takes one at once."""

    async def tell(taken: Snapshot) -> None:
        if taken.commit is not None:
            event = happened.SnapshotTaken(
                task=this.task.id, generation=this.generation, ref=ref, commit=taken.commit, files=taken.files
            )
            this.context.emit(event)
            await this.context.look_around(this.task.id, this.commit, taken.commit)
        for remark in taken.remarks:
            this.context.emit(happened.Noticed(task=this.task.id, text=remark))

    ref = f"refs/orch/{this.context.run}/{this.task.id}/gen-{this.generation}/snapshot"
    snapshots = await asyncio.to_thread(Snapshots.of, space, ref)
    over = asyncio.Event()
    beats = asyncio.create_task(snapshots.keep_taking(this.context.heartbeat, over, tell))
    try:
        yield partial(snapshots.take_now, tell)
    finally:
        over.set()
        await beats


@asynccontextmanager
async def _seat(this: Attempt) -> AsyncIterator[Seat]:
    """Sit down at the board and hold the task there, under this generation, for as long as the attempt takes."""
    hub = this.context.hub
    hub.open(this.task.id, at_least=this.generation - 1, for_agent=this.name)
    seat = await hub.seat(this.name)
    try:
        granted = await seat.claim(this.task.id)
        if granted != this.generation:
            raise BoardError(
                f"The board grants generation {granted} of {this.task.id}, the run is at {this.generation}."
            )
        yield seat
    finally:
        seat.close()
        hub.drop(this.name, reason="the attempt is over")


async def _work(this: Attempt, space: Workspace, seat: Seat, keep: Callable[[], Awaitable[None]]) -> Outcome:
    """Let the agent work, and say so."""
    context, task = this.context, this.task
    agent = context.agents[task.agent]
    briefing_file = context.folder / "prompts" / f"{this.name}.md"
    briefing_file.parent.mkdir(exist_ok=True)
    write_whole(briefing_file, this.briefing.encode())
    transcript_path = context.folder / "transcripts" / f"{this.name}.jsonl"
    context.emit(
        happened.AttemptStarted(
            task=task.id, generation=this.generation, commit=this.commit, branch=this.branch, worktree=str(space.folder),
            technique=space.technique.value, agent=task.agent, model=agent.model, session=this.session,
            transcript=str(transcript_path.relative_to(context.folder)),
            confined=level_of(task.agent, context.loaded.plan.agent_of(task)).value,
        )
    )  # fmt: skip
    async with context.stopping(task.id) as stop, confined(context, task, space, briefing_file) as confinement:
        with Transcript(transcript_path) as transcript, _desk(this, space, seat) as desk:
            transcript.write("briefing", text=this.briefing)
            assignment = Assignment(
                run_folder=context.folder, task=limited(task, context.state().tasks[task.id]), generation=this.generation,
                session=this.session, branch=this.branch, commit=this.commit, folder=space.folder, briefing=this.briefing,
                briefing_file=briefing_file, sources=context.loaded.sources, desk=desk, transcript=transcript, stop=stop,
                apply_patch=space.apply_patch, on_process=this.note_process, access=context.access_of(this.name),
                changed=lambda: asyncio.to_thread(_any_change, space), confinement=confinement, governor=context.governor,
                boundary=context.boundary(task.id), desk_of=partial(_desk_at, this, space),
                shared=SharedDoor(hub=context.hub, attempt=this.name, card=TaskCard.of(task)), keep=keep,
            )  # fmt: skip
            outcome = await set_up_and_work(agent, assignment, space, context.loaded.plan.worktree, this.remark)
            transcript.write("outcome", status=outcome.status.value, reason=outcome.reason)
    for text in outcome.remarks:
        this.remark(text)
    context.emit(
        happened.AttemptEnded(
            task=task.id, generation=this.generation, status=outcome.status, reason=outcome.reason,
            seconds=outcome.seconds, cost_usd=outcome.cost_usd, turns=outcome.turns, tokens=outcome.tokens,
        )
    )  # fmt: skip
    return outcome


def _any_change(space: Workspace) -> bool:
    try:
        return bool(query.unstaged_files(space.files))
    except GitError:
        return True  # what git cannot look at is something else than what was written out


def _desk_at(this: Attempt, space: Workspace, seat: Seat) -> AttemptDesk:
    def scope_changed(scope: Scope) -> None:
        space.scope = scope

    return AttemptDesk(
        context=this.context, task=this.task.id, generation=this.generation, seat=seat, scope_changed=scope_changed
    )


@contextmanager
def _desk(this: Attempt, space: Workspace, seat: Seat) -> Iterator[AttemptDesk]:
    """Give the attempt a desk, where its programs find it for as long as the agent works."""
    desks = this.context.desks
    desk = desks[this.name] = _desk_at(this, space, seat)
    try:
        yield desk
    finally:
        del desks[this.name]


async def take_in(this: Attempt, space: Workspace, outcome: Outcome) -> tuple[Captured, CommitId]:
    """Put what an attempt left on its branch, say so, and let its folder go.

    Raises:
        GitError, WorkspaceError: it cannot be taken in; the folder stays.
    """
    for left in reversed(range(_TRIES)):
        try:
            async with no_gc(this.context.repository.common_dir):
                captured = await space.capture()
                reached("work-captured")
                commit = await asyncio.to_thread(_keep, this, space, captured, outcome)
            break
        except (GitError, WorkspaceError) as error:
            said = error.stderr if isinstance(error, GitError) else error.message
            space.keep = f"git cannot take in what the agent left ({said.strip()})"
            if not left:
                raise
            # A user's `git prune` removes objects that are written but not yet on a branch; so all are written anew.
            await asyncio.to_thread(space.start_over)
    event = happened.Kept(
        task=this.task.id, generation=this.generation, branch=this.branch, commit=commit, files=len(captured.changes)
    )
    this.context.emit(event)
    return captured, commit


def _keep(this: Attempt, space: Workspace, captured: Captured, outcome: Outcome) -> CommitId:
    """Commit what the attempt left, finished or not, and let its folder go. The message is ours; an agent's own is not used."""
    git = this.context.repository.objects
    provenance = this.provenance(captured.changes)
    message = message_with(f"{this.task.id}: {this.task.title or this.task.id}", outcome.summary, provenance)
    author = f"{provenance.task} {provenance.agent} {provenance.model}"
    branch = f"refs/heads/{this.branch}"
    kept = query.resolve(this.context.repository.own, branch)  # by an orchestrator that was killed before it said so
    if kept is not None and query.new_objects(git, kept, this.commit) is None:
        kept = None  # a `git prune` took a part of it
    if kept is None or query.tree_of(git, kept) != captured.tree:
        parents = [kept] if kept else [this.commit, *_shared_out(this, outcome.shares)]
        kept = change.commit_tree(git, captured.tree, parents, message, author)
    refs = {branch: kept}
    if captured.agent_head:
        refs[f"refs/orch/{this.context.run}/{this.task.id}/gen-{this.generation}/agent-commits"] = captured.agent_head
    space.kept_as(captured, refs)
    return kept


def _shared_out(this: Attempt, shares: Iterable[Share]) -> list[CommitId]:
    """Commit what several authors wrote, one after another; return the last commit, if there is any."""
    git = this.context.repository.objects.at(index=this.context.folder / "indexes" / f"{this.name}.shares")
    tip = this.commit
    for share in shares:
        tree = change.tree_with(git, tip, share.files)
        provenance = replace(
            this.provenance(query.changed_paths(git, tip, tree)), task=share.task, agent=share.agent, model=share.model,
            session=share.session,
        )  # fmt: skip
        message = message_with(share.title, share.summary, provenance)
        tip = change.commit_tree(git, tree, [tip], message, f"{share.task} {share.agent} {share.model}")
    return [tip] if tip != this.commit else []


def _check(this: Attempt, captured: Captured) -> list[CheckResult]:
    """Run the checks that need no other task's work."""
    git = this.context.repository.objects
    entries = [e for e in this.context.loaded.plan.contracts.implementations if e.task == this.task.id]
    boundary = this.context.boundary(this.task.id)
    results = [check_boundary(git, captured.changes, boundary, by_the_way=captured.agent_changes)]
    if entries:
        results.append(check_contracts(git, captured.tree, entries))
    return results


def _content_hash(changes: Iterable[Change]) -> str:
    """Return 16 hex digits of the SHA-256 over path, mode and blob name of what the task changed, in path order."""
    lines = sorted(f"{c.path}\0{c.new_mode}\0{c.new_blob}\n" for c in changes)
    return hashlib.sha256("".join(lines).encode("utf-8", "surrogateescape")).hexdigest()[:16]
