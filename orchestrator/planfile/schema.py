"""The plan's format as a JSON Schema: for editors, for `contracts/plan.schema.json`, and to tell what a key holds."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from orchestrator.model.plan import Plan

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchestrator.model.plan_problem import Where

__all__ = ["Shape", "plan_schema", "plan_schema_text", "shape_at"]


def plan_schema() -> dict[str, Any]:
    """Return the JSON Schema of `plan.yaml`, version 1.

    It knows every single value; how values must fit together (`model.plan_rules`) no schema can say.
    """
    generated = Plan.model_json_schema(by_alias=True)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "orch plan",
        "description": "What plan.yaml says, version 1: contracts, territories, agents, tasks and gates of one run.",
        **{key: value for key, value in generated.items() if key not in {"title", "description"}},
    }


def plan_schema_text() -> str:
    """Return the content of `contracts/plan.schema.json`."""
    return json.dumps(plan_schema(), indent=2, ensure_ascii=False) + "\n"


class Shape:
    """What may stand at one place of the plan."""

    def __init__(self, schema: dict[str, Any], definitions: dict[str, Any]) -> None:
        self.description: str = schema.get("description", "")
        self._definitions = definitions
        self._options = tuple(_options(schema, definitions))

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys that a mapping may have here; none if it may have any or if no mapping is wanted."""
        return tuple(dict.fromkeys(key for option in self._options for key in option.get("properties", ())))

    @property
    def required(self) -> frozenset[str]:
        """The keys that it must have."""
        return frozenset(key for option in self._options for key in option.get("required", ()))

    @property
    def words(self) -> tuple[str, ...]:
        """The texts that may stand here, if it is one of a few."""
        return tuple(word for option in self._options for word in option.get("enum", ()))

    @property
    def one_key_each(self) -> bool:
        """Tell whether it is a mapping whose one key says what it is: a step."""
        return sum("properties" in option for option in self._options) > 1

    def inside(self, part: str | int) -> Shape | None:
        """Return what may stand at this key or index, or None if nothing may."""
        for option in self._options:
            if isinstance(part, int):
                found = option.get("items")
            else:
                found = option.get("properties", {}).get(part) or option.get("additionalProperties")
            if isinstance(found, dict):
                return Shape(found, self._definitions)
        return None


def shape_at(where: Where) -> Shape | None:
    """Return what may stand at the end of these keys and indices, or None if nothing may."""
    shape: Shape | None = _root()
    for part in where:
        shape = shape.inside(part) if shape else None
    return shape


@lru_cache(maxsize=1)
def _root() -> Shape:
    schema = plan_schema()
    return Shape(schema, schema["$defs"])


def _options(schema: dict[str, Any], definitions: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the alternatives that a schema offers, each without references."""
    if "$ref" in schema:
        yield from _options(definitions[schema["$ref"].rpartition("/")[2]], definitions)
    for option in (*schema.get("anyOf", ()), *schema.get("oneOf", ())):
        yield from _options(option, definitions)
    if "type" in schema or "enum" in schema:
        yield schema
