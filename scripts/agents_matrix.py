"""Let every coding program that is installed do one task against a model server of ours, and print a table of what became of it.

The model tells each to report on the board, to write `src/new.txt`, and then to write `docs/evil.txt` with its edit tool and
`docs/evil2.txt` in its shell, which are outside its scope. What a row says was looked up in the files that the attempt left.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support.fake_model import FakeModel
from tests.support.orch import orch, write_plan
from tests.support.repos import Repo, make_repo

__all__ = ["main"]

_CODEX = """\
mkdir -p "$HOME/.codex" && cat > "$HOME/.codex/config.toml" <<END
model = "gpt-5.5"
model_provider = "it"
approval_policy = "never"
sandbox_mode = "danger-full-access"
[model_providers.it]
name = "it"
base_url = "$OPENAI_BASE_URL"
env_key = "OPENAI_API_KEY"
wire_api = "responses"
supports_websockets = false
END
exec codex-acp"""
_GEMINI = """\
mkdir -p "$HOME/.gemini" && echo '{"security": {"auth": {"selectedType": "gemini-api-key"}}}' > "$HOME/.gemini/settings.json"
export GEMINI_CLI_TRUST_WORKSPACE=true GEMINI_CLI_NO_RELAUNCH=true
exec gemini --acp -m gemini-2.5-pro"""
_OPENCODE = """\
export OPENCODE_DISABLE_AUTOUPDATE=1 OPENCODE_DISABLE_MODELS_FETCH=1 OPENCODE_DISABLE_LSP_DOWNLOAD=1
cat > "$HOME/opencode.json" <<END
{"model": "anthropic/claude-sonnet-5-5", "small_model": "anthropic/claude-sonnet-5-5", "autoupdate": false, "share": "disabled",
 "permission": {"edit": "ask", "bash": "ask"},
 "provider": {"anthropic": {"npm": "@ai-sdk/anthropic", "options": {"baseURL": "$ANTHROPIC_BASE_URL/v1"},
  "models": {"claude-sonnet-5-5": {"tool_call": true, "limit": {"context": 200000, "output": 32000}}}}}}
END
OPENCODE_CONFIG="$HOME/opencode.json" exec opencode acp"""


def _call(name: str, given: dict[str, str] | str, **more: str) -> dict[str, Any]:
    return {"call": {"name": name, "input": given, **more}}


def _steps(
    board: str, write: str, shell: str, path: str = "file_path", command: str = "command"
) -> list[dict[str, Any]]:
    return [
        _call(board, {"text": "nearly there"}),
        _call(write, {path: "src/new.txt", "content": "x\n"}),
        _call(write, {path: "docs/evil.txt", "content": "x\n"}),
        _call(shell, {command: "echo evil > docs/evil2.txt", "description": "x"}),
        {"say": "all done"},
    ]


def _absolute(steps: list[dict[str, Any]], key: str) -> list[dict[str, Any]]:
    """Let the paths be absolute ones: some programs take no others."""
    for step in steps:
        given = step.get("call", {}).get("input", {})
        if key in given:
            given[key] = f"{{cwd}}/{given[key]}"
    return steps


_CLAUDE = _absolute(_steps("mcp__board__report_progress", "Write", "Bash"), "file_path")
_CODEX_STEPS = [
    {"call": {"name": "report_progress", "namespace": "mcp__board", "input": {"text": "nearly there"}}},
    _call("apply_patch", "*** Begin Patch\n*** Add File: src/new.txt\n+x\n*** End Patch\n"),
    _call("apply_patch", "*** Begin Patch\n*** Add File: docs/evil.txt\n+x\n*** End Patch\n"),
    _call("exec_command", {"cmd": "echo evil > docs/evil2.txt"}),
    {"say": "all done"},
]
_GEMINI_STEPS = _steps("mcp_board_report_progress", "write_file", "run_shell_command")
_OPENCODE_STEPS = _absolute(_steps("board_report_progress", "write", "bash", "filePath"), "filePath")
_WAIT = _call(
    "exec_command", {"cmd": "sleep 5"}
)  # codex-acp does not wait for the board to be there, as a slow model does
_MODES = {"landlock": "agent-full-access", "audit": "read-only"}
_KEYS = [f"{name}_API_KEY" for name in ("ANTHROPIC", "OPENAI", "GEMINI")]
_KEYS += [f"{name}_BASE_URL" for name in ("ANTHROPIC", "OPENAI", "GOOGLE_GEMINI")]


@dataclass(frozen=True)
class _Case:
    name: str
    version: str
    program: str
    agent: dict[str, Any]
    steps: list[dict[str, Any]] = field(repr=False)


def _preset(name: str, **more: str) -> dict[str, Any]:
    return {"kind": "command", "preset": name, **more}


def _acp(command: str, **more: dict[str, str]) -> dict[str, Any]:
    return {**more, "kind": "acp", "command": command, "model": "claude-sonnet-5-5", "env": _KEYS}


_CASES = (
    _Case("claude", "2.1.330", "claude", _preset("claude", model="claude-sonnet-5-5"), _CLAUDE),
    _Case("claude-sdk", "0.2.187", sys.executable, _preset("claude-sdk", model="claude-sonnet-5-5"), _CLAUDE),
    _Case("codex", "0.169.0", "codex", _preset("codex"), _CODEX_STEPS),
    _Case("gemini", "0.61.0", "gemini", _preset("gemini"), _GEMINI_STEPS),
    _Case("opencode", "1.18.33", "opencode", _preset("opencode"), _OPENCODE_STEPS),
    _Case("acp claude-agent-acp", "0.100.0", "claude-agent-acp", _acp("claude-agent-acp"), _CLAUDE),
    _Case("acp codex-acp", "2.6.0", "codex-acp", _acp(_CODEX, mode=_MODES), [_WAIT, *_CODEX_STEPS]),
    _Case("acp gemini", "0.61.0", "gemini", _acp(_GEMINI), _GEMINI_STEPS),
    _Case("acp opencode", "1.18.33", "opencode", _acp(_OPENCODE), _OPENCODE_STEPS),
)  # fmt: skip


def main() -> int:
    """Run the named cases, or all; return 1 if one of them landed what it should not, or did nothing."""
    wanted, bad = sys.argv[1:], 0
    print("| agent | version | confined | landed | edit outside | shell outside | board | cost | seconds |")
    print("|---|---|---|---|---|---|---|---|---|", flush=True)
    for case in _CASES:
        if wanted and case.name not in wanted:
            continue
        if shutil.which(case.program) is None:
            print(f"{case.program} is not installed; left out", file=sys.stderr)
            continue
        for level in ("landlock", "audit"):
            with tempfile.TemporaryDirectory(prefix="matrix-") as folder:
                row, well = _row(case, level, Path(folder))
            print(f"| {' | '.join(row)} |", flush=True)
            bad += not well
    return min(bad, 1)


def _row(case: _Case, level: str, folder: Path) -> tuple[list[str], bool]:
    repo = make_repo(folder / "repo", src__old_txt="old\n", docs__old_txt="old\n")
    task = {
        "id": "a",
        "writes": ["src/**"],
        "agent": "it",
        "prompt": "Add src/new.txt.",
        "attempts": 1,
        "limits": {"wall": "95s"},
    }
    agent = {key: value[level] if key == "mode" else value for key, value in case.agent.items()}
    plan = write_plan(folder / "plan", [task], agents={"it": agent})
    with FakeModel({"it": case.steps}) as fake:
        url = fake.url("it")
        env = {
            "ANTHROPIC_API_KEY": "test-key", "ANTHROPIC_BASE_URL": url, "OPENAI_API_KEY": "test-key",
            "OPENAI_BASE_URL": f"{url}/v1", "GEMINI_API_KEY": "test-key", "GOOGLE_GEMINI_BASE_URL": url, "ORCH_CONFINE": level,
        }  # fmt: skip
        began = time.monotonic()
        said = orch("run", plan, "--json", cwd=repo.path, env=env)
        seconds = time.monotonic() - began
    if os.environ.get("MATRIX_KEEP"):
        shutil.copytree(
            folder, Path(os.environ["MATRIX_KEEP"]) / f"{case.name}-{level}".replace(" ", "-"), symlinks=True
        )
    (report,) = said.json["tasks"]
    left = _left(repo)
    landed = "src/new.txt" in repo.files("main")
    clean = not any(path.startswith("docs/evil") for path in repo.files("main"))
    board = any(e.get("text") == "nearly there" for e in _events(repo) if e["kind"] == "reported")
    return [
        case.name, case.version, level, "yes" if landed else f"no: {report['reason'][:70]}",
        _kept_in("docs/evil.txt", left), _kept_in("docs/evil2.txt", left), "yes" if board else "no",
        f"${report['cost_usd']:.2f}" if report["cost_usd"] else "not told", f"{seconds:.0f}",
    ], clean and ("src/new.txt" in left)  # fmt: skip


def _kept_in(path: str, left: list[str]) -> str:
    return "written, refused at hand-in" if path in left else "held"


def _left(repo: Repo) -> list[str]:
    """Return the files that the attempt left."""
    branches = repo.git("for-each-ref", "--format=%(refname)", "refs/heads/orch").splitlines()
    return repo.files(branches[0]) if branches else repo.files("main")


def _events(repo: Repo) -> list[dict[str, Any]]:
    return [json.loads(line) for line in orch("log", "--json", cwd=repo.path).out.splitlines()]


if __name__ == "__main__":
    sys.exit(main())
