"""Spans of a run, as a collector of ours gets them over HTTP; and what happens to a run if nobody takes them."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from orchestrator.tracing.tracing import exporters_wanted
from tests.support.fake_model import FakeModel
from tests.support.orch import orch, write_plan
from tests.support.repos import Repo, make_repo

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.e2e

SCRIPT: list[dict[str, Any]] = [{"write": {"path": "b/f", "text": "x\n"}}]


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    return make_repo(tmp_path / "repo")


class Collector(ThreadingHTTPServer):
    """Keeps what is sent to /v1/traces."""

    def __init__(self) -> None:
        self.spans: list[Any] = []
        self.resources: list[dict[str, str]] = []
        super().__init__(("127.0.0.1", 0), _Handler)


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        request = ExportTraceServiceRequest.FromString(self.rfile.read(int(self.headers["content-length"])))
        assert isinstance(self.server, Collector)
        for group in request.resource_spans:
            self.server.resources.append({one.key: one.value.string_value for one in group.resource.attributes})
            self.server.spans += [span for scope in group.scope_spans for span in scope.spans]
        self.send_response(200 if self.path == "/v1/traces" else 404)
        self.end_headers()

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Say nothing."""


@contextmanager
def collecting() -> Iterator[Collector]:
    with Collector() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def value(one: Any) -> Any:
    return getattr(one, one.WhichOneof("value"))


def test_a_run_is_told_in_spans(repo: Repo, tmp_path: Path) -> None:
    write = {"call": {"name": "write", "input": {"path": "a/f", "text": "x\n"}}, "cached": 5}
    outside = {"call": {"name": "write", "input": {"path": "elsewhere", "text": "x\n"}}}
    tasks: list[dict[str, Any]] = [
        {"id": "a", "writes": ["a/**"], "prompt": "Do it.", "agent": "coder"},
        {"id": "b", "writes": ["b/**"], "steps": SCRIPT, "needs": ["a"]},
        {"id": "c", "writes": ["c/**"], "steps": [{"fail": "no way"}], "attempts": 1},
    ]
    agents = {"coder": {"kind": "anthropic", "model": "claude-sonnet-5-5"}}
    gates = [{"name": "there", "run": "test -f README.txt"}]
    with collecting() as collector, FakeModel({"s": [outside, write, {"say": "Done."}]}) as fake:
        plan = write_plan(tmp_path / "p", tasks, agents=agents, gates=gates)
        env = {
            "ANTHROPIC_API_KEY": "k", "ANTHROPIC_BASE_URL": fake.url("s"), "OTEL_SERVICE_NAME": "mine",
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{collector.server_port}",
        }  # fmt: skip
        said = orch("run", plan, "--jobs", "1", "--json", cwd=repo.path, env=env)
    assert "traces" not in said.err
    names = {span.span_id: span.name for span in collector.spans}
    parents = sorted((names.get(span.parent_span_id, ""), span.name) for span in collector.spans)
    chat, model = "chat claude-sonnet-5-5", "claude-sonnet-5-5"
    assert parents == sorted(
        [("", "invoke_workflow test"), *[("invoke_agent coder", chat)] * 3, *[(chat, "execute_tool write")] * 2]
        + [("invoke_workflow test", name) for name in ("invoke_agent coder", *["invoke_agent default"] * 2, "land a", "land b")]
        + [(f"invoke_agent {name}", "check boundary") for name in ("coder", "default")]
        + [("invoke_agent default", "turn 1")] * 2 + [("turn 1", "execute_tool write"), ("turn 1", "execute_tool fail")]
        + [(f"land {task}", name) for task in "ab" for name in ("gate there", "check boundary", "check no-revert")]
    )  # fmt: skip
    assert len({span.trace_id for span in collector.spans}) == 1
    assert all(0 < span.start_time_unix_nano <= span.end_time_unix_nano for span in collector.spans)
    assert {one["service.name"] for one in collector.resources} == {"mine"}
    spans = {span.name: {one.key: value(one.value) for one in span.attributes} for span in collector.spans}
    agent, tool = spans["invoke_agent coder"], spans["execute_tool write"]
    assert (agent["gen_ai.operation.name"], agent["gen_ai.agent.name"]) == ("invoke_agent", "coder")
    assert (agent["gen_ai.request.model"], agent["gen_ai.provider.name"], agent["orch.task"]) == (
        model,
        "anthropic",
        "a",
    )
    turns = [{one.key: value(one.value) for one in span.attributes} for span in collector.spans if span.name == chat]
    for key in ("input_tokens", "output_tokens", "cache_read.input_tokens"):
        assert agent[f"gen_ai.usage.{key}"] == sum(turn[f"gen_ai.usage.{key}"] for turn in turns) > 0
    assert (tool["gen_ai.operation.name"], tool["gen_ai.tool.name"]) == ("execute_tool", "write")
    failed = sorted(span.name for span in collector.spans if span.status.code == 2)
    assert failed == ["execute_tool fail", "execute_tool write", "invoke_agent default"]


@pytest.mark.parametrize(
    ("env", "told"),
    [
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}, "warning: not all traces could be sent: "),
        ({"OTEL_TRACES_EXPORTER": "console"}, '"name": "invoke_agent default"'),
        ({"OTEL_TRACES_EXPORTER": "zipkin"}, "nothing is traced: OTEL_TRACES_EXPORTER names 'zipkin'"),
    ],
    ids=["nobody listens", "console", "unknown"],
)
def test_a_run_is_not_disturbed(repo: Repo, tmp_path: Path, env: dict[str, str], told: str) -> None:
    plan = write_plan(tmp_path / "p", [{"id": "b", "writes": ["b/**"], "steps": SCRIPT}])
    said = orch("run", plan, "--json", cwd=repo.path, env=env)
    assert (said.code, said.json["status"]) == (0, "landed")
    assert told in said.err
    assert "Traceback" not in said.err


@pytest.mark.parametrize(
    ("env", "wanted"),
    [
        ({}, ()),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x"}, ("otlp",)),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://x"}, ("otlp",)),
        ({"OTEL_TRACES_EXPORTER": "otlp, console"}, ("otlp", "console")),
        ({"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://x"}, ()),
        ({"OTEL_TRACES_EXPORTER": "console", "OTEL_SDK_DISABLED": "true"}, ()),
    ],
)
def test_the_standard_variables_decide(env: dict[str, str], wanted: tuple[str, ...]) -> None:
    assert exporters_wanted(env) == wanted
