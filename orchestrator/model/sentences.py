"""What happened, in sentences for people. Text that came from an agent is made harmless first. Pure."""

from __future__ import annotations

from orchestrator.model import events as happened
from orchestrator.model.feedback import first_error
from orchestrator.model.finding import Severity
from orchestrator.model.text import clean_text

__all__ = ["edit_lines", "sentence_for"]

_NAMED = 8  # ids or paths in one line; the others are counted


def sentence_for(event: happened.Event) -> str:
    """Return one line about an event; an empty text if it says nothing that another event does not."""
    text = _about_task(event) if getattr(event, "task", None) is not None else _about_run(event)
    return clean_text(text)


def edit_lines(edit: happened.PlanEdited) -> list[str]:
    """Return what an edited plan changes, one short line for each kind of change."""
    as_it_was = (
        "{} has landed as it was; put the change into a task of its own."
        if len(edit.landed) == 1
        else "{} have landed as they were; put the changes into tasks of their own."
    )
    lines = (
        (edit.added, "New: {}."),
        (edit.changed, "Changed, and starting anew: {}."),
        (edit.landed, as_it_was),
        (edit.dropped, "No longer in the plan: {}; what has landed stays, other work is kept on its branch."),
        (edit.failed, "Failed before, and not changed, so not tried again: {}."),
        (edit.contracts, "Contracts that are written again: {}."),
        (edit.others, "Changed as well: {}."),
    )
    return [clean_text(line.format(_few(names))) for names, line in lines if names]


def _few(names: tuple[str, ...]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def _about_run(event: happened.Event) -> str:
    match event:
        case happened.RunStarted():
            return f"Run {event.run} of {event.plan} on {event.base} at {event.commit[:12]}, up to {event.jobs} agents at once."
        case happened.Resumed():
            return f"Going on with the base branch at {event.commit[:12]}, up to {event.jobs} agents at once."
        case happened.Retried():
            return f"Tried again: {', '.join(event.tasks[:_NAMED])}{', …' * (len(event.tasks) > _NAMED)}."
        case happened.PlanEdited():
            return f"Going on with the edited plan. {' '.join(edit_lines(event))}"
        case happened.ContractsPublished(commit=None, files=0):
            return ""
        case happened.ContractsPublished(commit=None):
            return f"The contracts ({_files(event.files)}) stand on the base branch already."
        case happened.ContractsPublished():
            return f"The contracts ({_files(event.files)}) are committed as {(event.commit or '')[:12]}."
        case happened.StopRequested():
            return f"Stopping: {event.reason}." + ("" if event.lands else " A second time ends everything at once.")
        case happened.Paused():
            return "Paused: no attempt begins until `orch unpause`; what is under way goes on."
        case happened.Unpaused():
            return "Attempts begin again."
        case happened.Noticed():
            return event.text
        case happened.RunEnded():
            return f"The run is over: {event.status}, {event.seconds:.1f} s."
    return ""


def _about_task(event: happened.Event) -> str:
    match event:
        case happened.AttemptStarted():
            again = f", generation {event.generation}" if event.generation > 1 else ""
            return f"{event.task}: {event.agent} ({event.model}) starts{again}."
        case happened.Reported():
            return f"{event.task}: {event.action} {event.text}"
        case happened.CancelRequested():
            return f"{event.task}: is to be cancelled."
        case happened.ScopeWidened():
            return f"{event.task}: may write {_few(event.globs)} as well: {event.reason}"
        case happened.AttemptEnded():
            # How an agent failed stands in the refusal that follows.
            return f"{event.task}: the agent is done after {event.seconds:.1f} s." if event.status == "done" else ""
        case happened.Submitted():
            return f"{event.task}: submitted {_files(event.files) if event.files else 'no change'}."
        case happened.Refused(stopped=True):
            return f"{event.task}: generation {event.generation} was stopped; what it wrote is on its branch."
        case happened.Refused():
            return f"{event.task}: generation {event.generation} is refused: {event.reason}"
        case _:
            return _about_landing(event)


def _about_landing(event: happened.Event) -> str:
    match event:
        case happened.Checked() if not event.result.passed:
            errors = [v for v in event.result.violations if v.severity is Severity.ERROR]
            more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
            return f"{event.task}: check {event.result.name} failed: {first_error(event.result)}{more}"
        case happened.Checked():
            return f"{event.task}: {event.result.name} passed." if event.result.name.startswith("gate:") else ""
        case happened.LandingStarted():
            return f"{event.task}: is being merged and tested."
        case happened.Landed():
            return f"{event.task}: landed as {event.commit[:12]}."
        case happened.TaskEnded(status="cancelled"):
            return ""  # the reason was said once, for all of them
        case happened.TaskEnded():
            return f"{event.task}: {event.status}: {event.reason}"
        case happened.Noticed():
            return f"{event.task}: {event.text}"
        case happened.OverlapSeen():
            more = f" and {len(event.paths) - 3} more" if len(event.paths) > 3 else ""
            return (
                f"{event.task}: does not merge with what {event.other} has written: {', '.join(event.paths[:3])}{more}."
            )
    return ""


def _files(count: int) -> str:
    return f"{count} file{'s' * (count != 1)}"
