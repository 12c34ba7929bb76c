"""Which faults files written by models have, by task and mode, and whether `tsc` sees the same.

The files come from lines of JSON, `{"task", "mode", "run", "content"}` each, plain or gzipped, as published with CodeCRDT.
The reference is TypeScript's own parser and checker, asked for both kinds of diagnostics file by file; npm fetches it into a
temporary folder unless `--types` names one that has it. Third-party modules are of type `any` there.
"""

from __future__ import annotations

import argparse
import gzip
import json
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

from orchestrator.syntax.faults import faults_of
from orchestrator.syntax.figures import RULES, FaultRow, Output, figures

PACKAGES = ("typescript@5.9", "@types/react@19", "@types/react-dom@19")
DUPLICATE_CODES = {2300, 2323, 2393, 2440, 2451, 2528, 2567, 2752, 2753}
"""Duplicate identifier, redeclared variable, function, export or import, several default exports."""


def main() -> None:
    """Measure and print the table, then the agreement."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("outputs", type=Path, help="the lines of JSON")
    parser.add_argument("--suffix", default=".tsx", help="how the files' names end, which tells their language")
    parser.add_argument("--types", type=Path, help=f"a folder whose node_modules hold {', '.join(PACKAGES)}")
    parser.add_argument("--no-tsc", action="store_true", help="print the table only")
    options = parser.parse_args()
    outputs = _read(options.outputs, options.suffix)
    started = time.process_time()
    rows = figures(outputs)
    seconds = (time.process_time() - started) / len(outputs)
    print(f"{len(outputs)} files, {seconds * 1000:.0f} ms of CPU a file; percent of files with")
    print(
        f"{'task':>22} {'mode':>10} {'files':>5} {'chars':>6} {' '.join(f'{rule:>{_width(rule)}}' for rule in RULES)}  any"
    )
    for row in rows:
        print(_line(row))
    if options.no_tsc:
        return
    if shutil.which("node") is None:
        print("tsc: not compared, there is no node")
        return
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        _compare(outputs, options.types or _installed(Path(folder)), Path(folder))


def _read(path: Path, suffix: str) -> list[Output]:
    with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as lines:
        records: list[dict[str, str]] = [json.loads(line) for line in lines]
    return [
        Output(
            task=each["task"],
            mode=each["mode"],
            path=f"{each['task']}-{each['mode']}-{each['run']}{suffix}",
            text=each["content"],
        )
        for each in records
    ]


def _width(rule: str) -> int:
    return max(6, len(rule))


def _line(row: FaultRow) -> str:
    shares = " ".join(f"{100 * row.share(rule):>{_width(rule)}.0f}" for rule in RULES)
    characters = row.characters // row.files
    return (
        f"{row.task:>22} {row.mode:>10} {row.files:>5} {characters:>6} {shares} {100 * row.with_any / row.files:>4.0f}"
    )


def _installed(folder: Path) -> Path:
    subprocess.run(["npm", "init", "-y"], cwd=folder, stdout=subprocess.DEVNULL, check=True)
    command = ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", *PACKAGES]
    subprocess.run(command, cwd=folder, stdout=subprocess.DEVNULL, check=True)
    return folder


def _compare(outputs: list[Output], types: Path, folder: Path) -> None:
    texts = folder / "texts.json"
    texts.write_text(json.dumps({output.path: output.text for output in outputs}))
    script = Path(__file__).with_name("faults_by_tsc.js").resolve()
    done = subprocess.run(["node", str(script), str(texts)], cwd=types, stdout=subprocess.PIPE, check=True)
    codes: dict[str, dict[str, Any]] = json.loads(done.stdout)
    for name in ("syntax", "duplicates"):
        both = ours_only = theirs_only = 0
        for output in outputs:
            rules = {fault.rule for fault in faults_of(output.path, output.text)}
            theirs = codes[output.path]
            if name == "syntax":
                mine, other = "syntax" in rules, bool(theirs["syntax"])
            else:
                mine = bool(rules & {"duplicate-import", "duplicate-declaration"})
                other = bool(DUPLICATE_CODES & set(theirs["semantic"]))
            both += mine == other
            ours_only += mine and not other
            theirs_only += other and not mine
        share = 100 * both / len(outputs)
        print(
            f"tsc on {name}: {both} of {len(outputs)} the same ({share:.1f} %), {ours_only} ours only, {theirs_only} its only"
        )


if __name__ == "__main__":
    main()
