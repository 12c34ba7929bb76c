"""The `orch` command and the one place where an exception becomes words and an exit code."""

from __future__ import annotations

import gc
import json
import sys
import traceback
from typing import NoReturn

import click

from orchestrator import __version__
from orchestrator.cli import blaming, comparing, doctoring, keeping, look, plans, running, serving, speaking
from orchestrator.disk_faults import disk_error_in
from orchestrator.errors import ExitCode, OrchestratorError, PlanError

__all__ = ["main", "orch"]


class _Story(click.Group):
    """A group whose help lists its commands in the order in which a user meets them."""

    def list_commands(self, _ctx: click.Context) -> list[str]:
        return list(self.commands)


@click.group(cls=_Story, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="orch")
def orch() -> None:
    """Run many coding agents on one git repository at once, and land only work that is proved to fit together.

    Start with `orch check PLAN`, then `orch run PLAN`; `orch blame PATH:LINE` tells who wrote a line.
    """


for command in (
    plans.init, plans.plan, plans.check, running.run, running.resume,
    look.status, look.log, look.board, serving.serve, speaking.answer, speaking.cancel, speaking.pause, speaking.unpause,
    blaming.blame, comparing.compare, keeping.recover, keeping.clean, doctoring.doctor, speaking.mcp,
):  # fmt: skip
    orch.add_command(command)


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run the command line and exit."""
    gc.set_threshold(50_000)  # a tenth of a short command's time would go into looking at what the libraries have made
    sys.exit(_exit_code(list(sys.argv[1:] if arguments is None else arguments)))


def _exit_code(arguments: list[str]) -> int:
    as_json = "--json" in arguments
    try:
        result = orch.main(arguments, prog_name="orch", standalone_mode=False)
    except OrchestratorError as error:
        return _explain(disk_error_in(error) or error, as_json=as_json)
    except click.ClickException as error:
        error.show()
        return ExitCode.USAGE
    except (KeyboardInterrupt, click.Abort):
        click.echo("Interrupted.", err=True)
        return ExitCode.INTERRUPTED
    except BrokenPipeError:  # the reader of our output has gone, as `| head` does
        sys.stderr.close()
        return ExitCode.LANDED
    except BaseExceptionGroup as group:
        return _explain_group(group, as_json=as_json)
    except Exception as error:  # noqa: BLE001 - this is where a bug of ours ends
        fault = disk_error_in(error)
        return _explain(fault, as_json=as_json) if fault else _bug(error)
    return result if isinstance(result, int) else ExitCode.LANDED


def _explain(error: OrchestratorError, *, as_json: bool) -> ExitCode:
    problems = list(error.problems) if isinstance(error, PlanError) else []
    if as_json:
        click.echo(json.dumps({"error": error.message, "hint": error.hint, "problems": problems}))
    for problem in problems:
        click.echo(problem, err=True)
    click.echo(f"{'' if problems else 'Error: '}{error.message}", err=True)
    if error.hint:
        click.echo(error.hint, err=True)
    return error.exit_code


def _explain_group(group: BaseExceptionGroup[BaseException], *, as_json: bool) -> int:
    """Explain what several tasks of one run raised: what we expect first, else a bug."""
    leaves = list(_leaves(group))
    for leaf in (disk_error_in(group), *leaves):
        if isinstance(leaf, OrchestratorError):
            return _explain(leaf, as_json=as_json)
    if all(isinstance(leaf, KeyboardInterrupt) for leaf in leaves):
        return ExitCode.INTERRUPTED
    return _bug(group)


def _leaves(error: BaseException) -> list[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        return [leaf for inner in error.exceptions for leaf in _leaves(inner)]
    return [error]


def _bug(error: BaseException) -> int:
    traceback.print_exception(error)
    click.echo(
        "This is a bug in orch, not in your plan. Nothing more was landed. Please report what stands above.", err=True
    )
    return ExitCode.BUG
