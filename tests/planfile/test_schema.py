from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from orchestrator.model.plan_steps import STEP_NAMES
from orchestrator.planfile.schema import plan_schema, plan_schema_text, shape_at
from orchestrator.planfile.sentences import PATTERNS

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
DURATION = "^(([0-9]+(\\.[0-9]+)?)(ms|s|m|h|d))+$"
SIZE = "^([1-9][0-9]{0,5}(\\.[0-9]{1,3})?)(kB|MB|GB|TB|KiB|MiB|GiB|TiB)$"


def test_the_published_schema_is_current() -> None:
    published = (ROOT / "contracts" / "plan.schema.json").read_text(encoding="utf-8")
    assert published == plan_schema_text(), "run scripts/schemas"


def parts(schema: Any) -> Iterator[dict[str, Any]]:
    if isinstance(schema, dict):
        yield schema
        for inner in schema.values():
            yield from parts(inner)
    elif isinstance(schema, list):
        for inner in schema:
            yield from parts(inner)


def test_every_pattern_has_words() -> None:
    patterns = {part["pattern"] for part in parts(plan_schema()) if isinstance(part.get("pattern"), str)}
    assert patterns == {*PATTERNS, DURATION, SIZE}


def test_it_is_the_format_as_it_is_written() -> None:
    schema = plan_schema()
    assert schema["title"] == "orch plan"
    assert schema["additionalProperties"] is False
    wall = schema["$defs"]["TaskLimits"]["properties"]["wall"]
    assert (wall["type"], wall["pattern"], wall["default"]) == ("string", DURATION, "30m")
    assert "from" in schema["$defs"]["FileText"]["properties"]
    assert schema["$defs"]["ContractFile"]["anyOf"][0] == {"type": "string"}


@pytest.mark.parametrize(
    ("where", "keys"),
    [
        (("limits",), {"jobs", "cost_usd", "tokens", "turns", "wall"}),
        (("tasks", 3, "limits"), {"wall", "stall", "cost_usd", "tokens", "turns"}),
        (("tracks", "any"), {"owns", "mode"}),
        (("contracts", "files", "a.py"), {"text", "from"}),
        (("tasks", 0, "steps", 0), set(STEP_NAMES)),
        (("tasks", 0, "steps", 0, "when", "do", 1, "write"), {"path", "text", "from"}),
        (("tasks", 0, "writes", 0), set()),
    ],
)
def test_what_may_stand_where(where: tuple[str | int, ...], keys: set[str]) -> None:
    shape = shape_at(where)
    assert shape is not None
    assert set(shape.keys) == keys


def test_nothing_may_stand_behind_a_text() -> None:
    assert shape_at(("name", "x")) is None
    assert shape_at(("bogus", 0, "x")) is None
