"""OpenTelemetry spans of a run by the GenAI conventions, for whoever sets the standard variables `OTEL_…`; else it costs nothing.

A run is `invoke_workflow`, an attempt `invoke_agent`, a turn of its agent `chat`, a tool call `execute_tool`; beside them stand
checks, gates and landings. All is taken from the events of the run, in a thread of its own, and what an agent did from
the transcript, once its attempt has ended. What goes wrong here is told once, after the run, and disturbs nothing.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import queue
import sys
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from opentelemetry.sdk.trace import TracerProvider

    from orchestrator.model import events as happened
    from orchestrator.model.state import RunState

__all__ = ["exporters_wanted", "traced"]

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_KNOWN = ("otlp", "console")
_PATIENCE = 3.0  # seconds for the last spans to be sent, once the run is over
_INSTALL = "install it with `pip install '.[otel]'` in orch's own folder"


def exporters_wanted(env: Mapping[str, str]) -> tuple[str, ...]:
    """Return where spans are to go by the standard variables, `otlp` or `console`; nothing if nobody asks for them.

    Raises:
        ValueError: an exporter is named that is not known here.
    """
    if env.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return ()
    named = tuple(filter(None, (name.strip() for name in env.get("OTEL_TRACES_EXPORTER", "").split(","))))
    if not named:
        return ("otlp",) if any(env.get(name) for name in _ENDPOINTS) else ()
    if strange := set(named) - {*_KNOWN, "none"}:
        raise ValueError(f"OTEL_TRACES_EXPORTER names {strange.pop()!r}; known here are otlp, console and none")
    return tuple(name for name in named if name != "none")


@contextmanager
def traced(
    tell: Callable[[happened.Event, RunState], None], folder: Path, state: RunState, notice: Callable[[str], None]
) -> Iterator[Callable[[happened.Event, RunState], None]]:
    """Give a `tell` that traces as well, if that is wanted; `state` is that of the run in `folder` as it begins here.

    `notice` is told why nothing can be traced.
    """
    try:
        wanted = exporters_wanted(os.environ)
    except ValueError as error:
        notice(f"nothing is traced: {error}")
        wanted = ()
    if wanted and (why := _missing(wanted)):
        notice(f"nothing is traced: {why}")
        wanted = ()
    if not wanted or state.started is None:
        yield tell
        return
    waiting: queue.SimpleQueue[tuple[int, happened.Event] | None] = queue.SimpleQueue()

    def also_trace(event: happened.Event, now: RunState) -> None:
        waiting.put((time.time_ns(), event))
        tell(event, now)

    work = _Work(wanted, folder, state.started, waiting)
    thread = threading.Thread(target=work.run, name="tracing", daemon=True)  # nobody waits for a collector that hangs
    thread.start()
    try:
        yield also_trace
    finally:
        waiting.put(None)
        thread.join(_PATIENCE)
        late = f"they were not sent within {_PATIENCE:g} s" if thread.is_alive() else ""
        if fault := work.faults.first or late:
            sys.stderr.write(f"warning: not all traces could be sent: {fault}\n")


def _missing(wanted: tuple[str, ...]) -> str:
    """Return which package is missing for these exporters; empty if none is."""
    needed = {"opentelemetry.sdk": "opentelemetry-sdk"}
    if "otlp" in wanted:
        needed["opentelemetry.exporter.otlp.proto.http"] = "opentelemetry-exporter-otlp-proto-http"
    for module, package in needed.items():
        try:
            found = importlib.util.find_spec(module)
        except ModuleNotFoundError:
            found = None
        if found is None:
            return f"the package {package} is not installed; {_INSTALL}"
    return ""


class _Faults(logging.Handler):
    """Keeps the first thing that OpenTelemetry complains of, instead of the terminal, on which the run is shown."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.first = ""

    def emit(self, record: logging.LogRecord) -> None:
        """Take one complaint."""
        self.first = self.first or record.getMessage().partition("\n")[0][:500]


class _Work:
    """What the thread does: it makes spans of events until there are no more."""

    def __init__(
        self, wanted: tuple[str, ...], folder: Path, started: happened.RunStarted,
        waiting: queue.SimpleQueue[tuple[int, happened.Event] | None],
    ) -> None:  # fmt: skip
        self.faults = _Faults()
        self._wanted, self._folder, self._started, self._waiting = wanted, folder, started, waiting

    def run(self) -> None:
        """Trace the run to its end."""
        logger = logging.getLogger("opentelemetry")
        logger.addHandler(self.faults)
        logger.propagate = False
        try:
            from orchestrator.tracing.spans import Spans

            provider = _provider(self._wanted)
            spans = Spans(provider, self._folder, self._started, time.time_ns())
            while (item := self._waiting.get()) is not None:
                spans.take(*item)
            spans.close(time.time_ns())
            provider.shutdown()
        except Exception as error:  # noqa: BLE001 - whatever it is, it is no reason to disturb the run
            self.faults.first = self.faults.first or f"{type(error).__name__}: {error}"


def _provider(wanted: tuple[str, ...]) -> TracerProvider:
    from opentelemetry.sdk.resources import OTELResourceDetector, Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter, SpanExporter

    from orchestrator import __version__

    own = Resource.create({"service.name": "orch", "service.version": __version__})
    provider = TracerProvider(resource=own.merge(OTELResourceDetector().detect()), shutdown_on_exit=False)
    for name in wanted:
        exporter: SpanExporter
        if name == "console":
            exporter = ConsoleSpanExporter(out=sys.stderr)  # the report is on the other
        else:
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

            exporter = OTLPSpanExporter()
        provider.add_span_processor(BatchSpanProcessor(exporter))
    return provider
