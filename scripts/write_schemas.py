"""Write the JSON Schemas of the public formats into a folder."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from orchestrator.model.events import Event
from orchestrator.model.formats import (
    AllLinesJson,
    BlameLineJson,
    FileProvenanceJson,
    LinesByJson,
    NoteJson,
    Report,
    SharesJson,
    TaskLinesJson,
    WhyJson,
)
from orchestrator.planfile.schema import plan_schema

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def schemas() -> dict[str, dict[str, Any]]:
    """Return the content of each published schema, by file name."""
    kinds = {cls.__name__: cls.kind for cls in Event.__args__}
    events = TypeAdapter(Event).json_schema()
    for name, kind in kinds.items():  # what the journal adds to each event: when it happened, and which it is
        definition = events["$defs"][name]
        definition["properties"] = {
            "at": {"type": "number"},
            "kind": {"const": kind},
            **definition.get("properties", {}),
        }
        definition["required"] = [
            "at",
            "kind",
            *definition.get("required", []),
        ]  # an event may have no field that it needs
    return {
        "plan.schema.json": plan_schema(),
        "report.schema.json": {"$schema": DIALECT, **TypeAdapter(Report).json_schema()},
        "blame.schema.json": {
            "$schema": DIALECT,
            "title": "One line of `orch blame FILE --json`, or the answer of `orch blame --json` otherwise",
            **TypeAdapter(
                BlameLineJson | TaskLinesJson | LinesByJson | AllLinesJson | SharesJson | WhyJson
            ).json_schema(),
        },
        "provenance.schema.json": {
            "$schema": DIALECT,
            "title": "A file of `orch blame --export DIR` (and `--history FILE --json`), or a note of `--export notes`",
            **TypeAdapter(FileProvenanceJson | NoteJson).json_schema(),
        },
        "events.schema.json": {
            "$schema": DIALECT,
            "title": "One event of a run: a record of its journal, and a line of `orch log --json`",
            **events,
        },
    }


def main() -> None:
    """Write every schema into the folder that the command line names."""
    folder = Path(sys.argv[1])
    for name, schema in schemas().items():
        (folder / name).write_text(json.dumps(schema, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        print(f"wrote {folder / name}")


if __name__ == "__main__":
    main()
