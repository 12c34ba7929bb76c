"""Seeded faults of every rule and language are found at their place, and sound files have none."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import orchestrator
from orchestrator.syntax.faults import error_nodes, faults_of, worse
from orchestrator.syntax.leak import leaks, strip_leak

PACKAGE = Path(orchestrator.__file__).parent
HEAD = "import { useState } from 'react';\n"


def found(path: str, text: str) -> list[tuple[str, int, int]]:
    return [(fault.rule, fault.line, fault.column) for fault in faults_of(path, text)]


@pytest.mark.parametrize(
    ("path", "text", "rule", "line", "column"),
    [
        ("a.py", "é = 1\nx = 1 +* 2\n", "syntax", 2, 1),
        ("a.py", "def f():\n\nx = 1\n", "syntax", 1, 9),  # the grammar takes it, Python does not
        ("a.py", "if True:\n    # nothing\nx = 1\n", "syntax", 1, 9),
        ("a.py", "print 'x'\n", "syntax", 1, 1),
        ("a.js", "const a = ;\n", "syntax", 1, 9),
        ("a.ts", "let x: number = 1\nif (x {\n}\n", "syntax", 2, 6),
        ("a.tsx", "const a = <p>é</q>;\n", "syntax", 1, 11),
        ("a.tsx", f"{HEAD}export const A = () => <p>ü</p>;</parameter>\n", "syntax", 2, 33),
        ("a.py", "import os\nimport sys, os\n", "duplicate-import", 2, 13),
        ("a.py", "from a import b\nfrom c import b\n", "duplicate-import", 2, 15),
        ("a.tsx", f"{HEAD}import {{ a as useState }} from 'x';\n", "duplicate-import", 2, 15),
        ("a.js", "import a from 'a';\nimport * as a from 'b';\n", "duplicate-import", 2, 13),
        ("a.py", "def f(): ...\nclass f: ...\n", "duplicate-declaration", 2, 7),
        (
            "a.py",
            "class A:\n    def m(self): ...\n    @property\n    def m(self): ...\n",
            "duplicate-declaration",
            4,
            9,
        ),
        ("a.js", "const é = 1; function é() {}\n", "duplicate-declaration", 1, 23),
        ("a.ts", "export function f(a: string) { const a = 1; }\n", "duplicate-declaration", 1, 38),
        ("a.ts", "class A { m() {}\n m() {} }\n", "duplicate-declaration", 2, 2),
        ("a.ts", "type A = 1; interface A {}\n", "duplicate-declaration", 1, 23),
        ("a.ts", "interface A { x: 1 }\ninterface A { y: 1 }\n", "duplicate-declaration", 2, 11),
        ("a.ts", f"{HEAD}function useState() {{}}\n", "duplicate-declaration", 2, 10),
        ("a.tsx", "export default 1;\nexport default function A() {}\n", "duplicate-declaration", 2, 1),
        ("a.tsx", "const A = () => { const [x, setX] = [1]; let { y: x } = {}; };\n", "duplicate-declaration", 1, 51),
        ("a.ts", "function f() {\n  import a from 'a';\n}\n", "nested-import", 2, 3),
        ("a.tsx", f"{HEAD}{{/* TODO:Chart draw it */}}\n", "todo", 2, 2),
        ("a.py", "x = 1  # TODO:Rest\n", "todo", 1, 8),
        ("a.css", "/* TODO:Colours */\n", "todo", 1, 1),
        ("a.md", "é <!-- TODO:Why -->\n", "todo", 1, 3),
        ("a.py", "def f():\n    return é\n", "unresolved", 2, 12),
        ("a.py", "class A:\n    x = 1\n    def m(self): return x\n", "unresolved", 3, 25),
        ("a.py", "def f(): y = 1\nprint(y)\n", "unresolved", 2, 7),
        ("a.ts", "export const a = () => { const b = 1; };\nb;\n", "unresolved", 2, 1),
        ("a.tsx", f"{HEAD}export const A = () => <Card x={{useState()}} />;\n", "unresolved", 2, 25),
        ("a.jsx", f"{HEAD}export const A = () => {{ const o = {{ missing }}; }};\n", "unresolved", 2, 38),
        ("a.js", "export { nothing };\n", "unresolved", 1, 10),
    ],
)
def test_a_seeded_fault_is_found_at_its_place(path: str, text: str, rule: str, line: int, column: int) -> None:
    assert (rule, line, column) in found(path, text)
    others = {fault.rule for fault in faults_of(path, text)} - {rule}
    assert others <= {"protocol-leak"}


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("a.tsx", f"{HEAD}export const A = () => <p>Terms & Conditions &amp; x && y</p>;\n"),
        ("a.tsx", "export const A = <T,>(x: T) => <><i data-a='1' {...x}>{x as T}</i></>;\n"),
        ("a.ts", "export function f(a: string): void;\nexport function f(a: any) { return arguments[0] ?? a; }\n"),
        ("a.ts", "export class A { get x() { return 1 } set x(v) {} static x = 1; #y = 2; constructor(private z: A) {} }\n"),
        ("a.ts", "export const A = 1; export type A = 2; export enum E { p, q = p } declare const G: number; G;\n"),
        ("a.ts", "export namespace N { export const x = 1 } export function N2() {} namespace N2 { const y = N.x; y }\n"),
        ("a.ts", "declare global { interface Window { x: 1 } }\nexport {}\n"),
        ("a.ts", "export interface I { [key: string]: 1; f(n: number): n is 1 }\n"),
        ("a.ts", "export type F = (event: Event) => void; export type L = [name: string, n?: number];\n"),
        ("a.ts", "export { a as b } from 'x'; export * as c from 'y'; import type { T } from 't'; export type U = T;\n"),
        ("a.ts", "declare module 'x' {\n  import { A } from 'y';\n  export const a: A;\n}\n"),
        ("a.js", "export function f({ a, b: [c = a], ...d }) { try { for (const e of c) e; } catch { var g = d } return g }\n"),
        ("a.js", "export const f = function me(n) { l: for (let i = 0; i < n; i++) { continue l } return me(--n) };\n"),
        ("a.js", "var a = 1; var a = 2; later(a); jQuery(a);\n"),  # a script: other scripts may have brought them
        ("a.js", "export default class { m() {} }\nexport const { x, y: { z } } = window; z; x;\n"),
        ("a.py", "import a.b\nimport a.c\na.b.d = [n for n in a if (m := n)]\nprint(m, f'{a!r:>{m}}')\n"),
        ("a.py", "import t\n@t.overload\ndef f(x: int): ...\n@t.overload\ndef f(x: str): ...\ndef f(x): return x\n"),
        ("a.py", "class A:\n    @property\n    def x(self): ...\n    @x.setter\n    def x(self, v): ...\n"),
        ("a.py", "try:\n    import a\nexcept ImportError as why:\n    a = why\nimport b\nb()\nfrom c import b\n"),
        ("a.py", "def f(x): return x\ng = f\ndef f(y, /, *a, z=1, **k): return y, a, z, k, g\n"),
        ("a.py", "class A[T]:\n    class B: ...\n    def m(self, v: B = B(), *, w=lambda q: q) -> B: return __class__, T\n"),
        ("a.py", "def f():\n    global G\n    G = 1\n    def h():\n        nonlocal v\n        v = 2\n    v = 1\nprint(G)\n"),
        ("a.py", "match [1]:\n    case {'k': v, **r} | [v, *r] if v:\n        print(r)\n    case str(x=y):\n        print(y)\n"),
        ("a.py", "with open('f') as (a, b), a as c:\n    del c\ntype X[K] = list[K]\nfrom u import *\nnobody_knows\n"),
        ("a.py", "globals().update(x=1)\nx\n"),
        ("a.py", "x = '</parameter> <invoke name=\"a\">'\n"),  # in a literal of a sound file it is meant
        ("a.tsx", "export const f = (a: A & B, b: 1) => { a &= b & 2; return a && <p title='&'>{a & b} & R&D</p> };\n"),
        ("pom.xml", "<parameter name='a'>1</parameter>\n"),
        ("a.txt", "plain text, TODO: later\n"),
        ("a.py", ""),
    ],
)  # fmt: skip
def test_what_is_sound_has_no_faults(path: str, text: str) -> None:
    assert faults_of(path, text) == ()


def test_this_package_has_no_faults() -> None:
    files = sorted(PACKAGE.rglob("*.py"))[::4]
    assert len(files) > 30
    assert [(file.name, fault) for file in files for fault in faults_of(file.name, file.read_text())] == []


@pytest.mark.parametrize("path", ["a.py", "a.tsx", "a.js", "a.css", "a"])
@pytest.mark.parametrize("tag", ["</xcrdt_code_output>", '<xcrdt_code_output crdtPosition="é">', "</invoke>"])
def test_leaked_markup_is_found_in_every_file(path: str, tag: str) -> None:
    assert ("protocol-leak", 2, 3) in found(path, f"\n  {tag}\n")


def test_in_a_document_only_markup_of_ours_is_a_leak() -> None:
    assert [fault.line for fault in faults_of("a.html", "<invoke/>\n</xcrdt_code_output>\n</invoke>\n")] == [2]


@pytest.mark.parametrize(
    ("text", "stripped"),
    [
        ("a\n</parameter>\n</invoke>\n", "a\n"),
        ("a\n  </parameter> </invoke>\nb", "a\nb"),
        ("a</parameter>b", "ab"),
        ('  <parameter name="x">\r\na', "a"),
        ("x<tool_call>y</tool_call>z[TOOL_CALLS]<|im_end|>", "xyz"),
        ("<function=write>a</function>", "a"),
        ("</para</invoke>meter>x", "x"),
        ("<p>a < b && c > d</p> [tool] parameter", "<p>a < b && c > d</p> [tool] parameter"),
        ("<Parameter/><parameters-list/><invoker>", "<Parameter/><parameters-list/><invoker>"),
    ],
)
def test_leaked_markup_is_taken_out_with_its_line(text: str, stripped: str) -> None:
    assert strip_leak(text) == stripped


PIECES = st.sampled_from(
    ["</para", "</invoke>", "meter>", "<", ">", "antml:", "<parameter name='x'", "\n", " ", "é", "/"]
)


@given(st.lists(PIECES, max_size=12).map("".join))
def test_nothing_is_left_to_find_after_taking_it_out(text: str) -> None:
    stripped = strip_leak(text)
    assert list(leaks(stripped)) == []
    assert strip_leak(stripped) == stripped
    if not list(leaks(text)):
        assert stripped == text


@pytest.mark.parametrize(
    ("path", "before", "after", "is_worse"),
    [
        ("a.tsx", "const a = <p></p>;", "const a = <p><b></p>;", True),
        ("a.tsx", "const a = <p><b></p>;", "const a = <p><b></b></p>;", False),
        ("a.tsx", "const a = ;", "const a = ;\nconst b = 1;", False),
        ("a.py", "x = 1\n", "def f():\n\nx = 1\n", True),
        ("a.css", "a {}", "a {", False),
    ],
)
def test_an_edit_that_adds_errors_is_told_from_one_that_does_not(
    path: str, before: str, after: str, *, is_worse: bool
) -> None:
    assert worse(path, before, after) is is_worse


@given(text=st.text(), suffix=st.sampled_from([".py", ".tsx", ".js", ".ts", ".txt"]))
def test_any_text_is_judged(text: str, suffix: str) -> None:
    path = f"a{suffix}"
    faults = faults_of(path, text)
    assert list(faults) == sorted(faults)
    assert sum(fault.rule == "syntax" for fault in faults) == error_nodes(path, text)
    lines = text.split("\n")
    assert all(fault.column <= len(lines[fault.line - 1]) + 1 for fault in faults)


def test_a_todo_in_the_place_of_a_body_is_no_fault_of_syntax() -> None:
    outline = "def a():\n    # TODO:A write it\n\n\nclass B:\n    # TODO:B write it\n"
    assert [fault.rule for fault in faults_of("a.py", outline)] == ["todo", "todo"]
    assert [fault.rule for fault in faults_of("a.py", "def a():\n    # nothing\n")] == ["syntax"]
