from __future__ import annotations

import json
import math
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.planfile.yaml_tree import MAX_ALIASES, MAX_DEPTH, MAX_NODES, Tree, read_tree
from tests.support.cost import at_most_calls

LOADERS = [yaml.SafeLoader, yaml.CSafeLoader] if yaml.__with_libyaml__ else [yaml.SafeLoader]


def value_of(text: str, loader: type = LOADERS[-1]) -> object:
    tree = read_tree(text.encode(), loader=loader)
    assert tree.faults == ()
    assert tree.root is not None
    return tree.root.value()


@pytest.mark.parametrize("loader", LOADERS)
@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("null", None), ("~", None), ("", None), ("Null", None), ("nULL", "nULL"),
        ("true", True), ("FALSE", False), ("yes", "yes"), ("no", "no"), ("on", "on"), ("off", "off"), ("y", "y"),
        ("7", 7), ("-7", -7), ("+7", 7), ("007", 7), ("0o17", 15), ("0xFF", 255), ("1_000", "1_000"), ("0b1", "0b1"),
        ("1:30", "1:30"), ("2026-11-22", "2026-11-22"), ("0x", "0x"), ("-0x1", "-0x1"),
        ("2.5", 2.5), (".5", 0.5), ("5.", 5.0), ("1e3", 1000.0), ("1E-2", 0.01), ("-.inf", -math.inf), (".Inf", math.inf),
        ("1.2.3", "1.2.3"), ("e3", "e3"), (".", "."), ("-", [None]), ("=", "="),
        ("'7'", "7"), ('"true"', "true"), ("''", ""), ("|\n  7\n", "7\n"), (">-\n  a\n  b\n", "a b"),
        ("!!str 7", "7"), ("! 7", "7"), ("!!int '7'", 7), ("!!float 7", 7.0), ("!!null ''", None), ("!!seq [a]", ["a"]),
    ],
)  # fmt: skip
def test_scalars_mean_what_the_core_rules_say(written: str, value: object, loader: type) -> None:
    wanted = tuple(value) if isinstance(value, list) else value
    text = f"key:\n{written}\n" if written == "-" else f"key: {written}\n"
    assert value_of(text, loader) == {"key": wanted}
    assert type(value_of(text, loader)["key"]) is type(wanted)  # type: ignore[index]


def test_not_a_number_is_a_number() -> None:
    assert math.isnan(value_of(".nan"))  # type: ignore[arg-type]


def test_lists_are_tuples_and_keys_keep_their_order() -> None:
    value = value_of("b: [1, {x: []}]\na:\n  - c\n")
    assert value == {"b": (1, {"x": ()}), "a": ("c",)}
    assert isinstance(value, dict)
    assert list(value) == ["b", "a"]


def test_an_alias_is_the_value_it_names() -> None:
    assert value_of("a: &x {b: [1]}\nc: *x\nd: &x 2\ne: *x\n&k f: *k\n") == {
        "a": {"b": (1,)}, "c": {"b": (1,)}, "d": 2, "e": 2, "f": "f",
    }  # fmt: skip


@pytest.mark.parametrize("loader", LOADERS)
def test_every_value_knows_where_it_stands(loader: type) -> None:
    text = "a: 1\nb:\n  - x\n  - {c: 'y', d: }\n'q k': |\n  long\nz:\n"
    tree = read_tree(text.encode(), loader=loader)
    places: dict[tuple[str | int, ...], tuple[tuple[int, int], tuple[int, int]]] = {
        (): ((1, 1), (1, 1)),
        ("a",): ((1, 1), (1, 4)),
        ("b",): ((2, 1), (3, 3)),
        ("b", 0): ((3, 5), (3, 5)),
        ("b", 1): ((4, 5), (4, 5)),
        ("b", 1, "c"): ((4, 6), (4, 9)),
        ("q k",): ((5, 1), (5, 8)),
        ("z",): ((7, 1), (7, 3)),
        ("b", 1, "missing"): ((4, 5), (4, 5)),  # what is not there stands where it would be
        ("b", 7, "c"): ((3, 3), (3, 3)),
        ("a", "x", "y"): ((1, 4), (1, 4)),
    }
    assert {path: (tree.key_place(path), tree.value_place(path)) for path in places} == places


def fault_of(data: bytes | str, loader: type = LOADERS[-1]) -> str:
    tree = read_tree(data if isinstance(data, bytes) else data.encode(), loader=loader)
    assert len(tree.faults) == 1, tree.faults
    [fault] = tree.faults
    return f"{fault.line}:{fault.column}: {'.'.join(map(str, fault.path))}: {fault.message}"


@pytest.mark.parametrize("loader", LOADERS)
@pytest.mark.parametrize(
    ("text", "fragments"),
    [
        ("a: 1\nb: 2\na: 3\n", "3:1: a: |the key 'a' is already written in line 1|keep one"),
        ("a:\n  b: 1\n  'b': 2\n", "3:3: a.b: |already written in line 2"),
        ("a: [{b: 1, c: 2, b: 3}]\n", "1:18: a.0.b: |already written in line 1"),
        ("a: 1\n7: b\n", "2:1: 7: |7 stands as a key|in quotes"),
        ("a: {true: b}\n", "1:5: a.true: |true stands as a key"),
        ("? [a]\n: b\n", "1:3: : |a list stands as a key"),
        ("? {a: b}\n: b\n", "a mapping stands as a key"),
        ("base: &b {a: 1}\nc:\n  <<: *b\n", "3:3: c.<<: |merges no keys|write them out"),
        ("a: !!python/object/apply:os.system [x]\n", "1:4: a: |'!!python/object/apply:os.system'|tag|take it out"),
        ("a:\n- !src/x\n", "2:3: a.0: |'!src/x' is read as a tag|quotes"),
        ("a: !!timestamp 2026-11-22\n", "'!!timestamp'"),
        ("a: !!set {x, y}\n", "'!!set'"),
        ("a: !!int x\n", "'x' does not fit its tag !!int"),
        (f"a: {'9' * 101}\n", "1:4: a: |a number of 101 digits"),
        ('a: "x\\0y"\n', "1:4: a: |NUL"),
    ],
)
def test_faults_that_leave_the_rest_readable(text: str, fragments: str, loader: type) -> None:
    assert read_tree(text.encode(), loader=loader).root is not None
    message = fault_of(text, loader)
    assert all(fragment in message for fragment in fragments.split("|")), message


@pytest.mark.parametrize("loader", LOADERS)
@pytest.mark.parametrize(
    ("text", "fragments"),
    [
        ("", "1:1: |the file is empty"), ("# only this\n", "the file is empty"),
        ("a:\n\t- b\n", "2:1: |a tab stands where YAML wants spaces"),
        ("a: b: c\n", "1:5: |a second ':'|quotes"),
        ("a: 1\nfoo\nb: 2\n", "2:1: |neither 'key: value' nor '- item'"),
        ("a: @x\n", "1:4: |begins with '@' must be in quotes"), ("a: `x`\n", "begins with '`'"), ("a: %x\n", "begins with '%'"),
        ("a: *.py\n", "begins with '*'"), ("a: & b\n", "begins with '&'"), ("a: !<x\n", "1:4: |begins with '!'"),
        ("a: *x\n", "1:4: a: |'*x' is read as an alias and names nothing|quotes"),
        ("a: 'x\nb: y\n", "1:4: |a quote is opened here and never closed"), ('a: "x\n', "1:4: |never closed"),
        ("a: [x, y\nb: z\n", "2:2: |the '[' of line 1 is not closed"), ("a: {x: y\nb: z\n", "the '{' of line 1"),
        ("a:\n  b: 1\n c: 2\n", "3:2: |does not fit those above"), ('a: "x" y\n', "1:8: |does not fit"),
        ("- a\nb: c\n", "2:1: |does not fit the list above"),
        ("a: - b\n", "1:4: |'- ' cannot stand here"), ("a: }\n", "1:4: |a value is missing here"),
        ('a: "\\q"\n', "does not know this escape"), ('a: "\\xzz"\n', "lacks hexadecimal digits"),
        ("a: |x\n  b\n", "after '|' or '>'"),
        ("%YAML 2.0\n---\na: 1\n", "this version of YAML"),
        ("a: 1\n---\nb: 2\n", "2:1: : |a second document begins here"),
        ("a: &x [*x]\n", "1:8: a.0: |'*x' stands inside what it names"),
        ("a: &x {b: [c, {d: *x}]}\n", "stands inside what it names"),
        ("a: " + "[" * 60 + "]" * 60, f"1:43: |more than {MAX_DEPTH} levels"),
        ("".join(f"{' ' * n}a:\n" for n in range(60)), f"{MAX_DEPTH + 1}:41: |more than {MAX_DEPTH} levels"),
    ],
)  # fmt: skip
def test_faults_that_end_reading(text: str, fragments: str, loader: type) -> None:
    assert read_tree(text.encode(), loader=loader).root is None
    message = fault_of(text, loader)
    assert all(fragment in message for fragment in fragments.split("|")), message


@pytest.mark.parametrize(
    ("data", "fragments"),
    [
        (b"a: 1\nb: \xff\n", "2:4: |the byte 0xff is not UTF-8"),
        (b"a: \xc3\xa4\xc3", "1:5: |0xc3"),
        ("a: 1".encode("utf-16"), "the file is UTF-16; save it as UTF-8"),
        (b"a: 1\r\nb: x\x00y\r\n", "2:5: |\\x00|take it out"),
        (b"a: \x1b[0m\n", "1:4: |\\x1b in double quotes"),
        ("a: \ufffe\n".encode(), "\\ufffe"),
    ],
)
def test_bytes_that_are_no_text(data: bytes, fragments: str) -> None:
    message = fault_of(data)
    assert all(fragment in message for fragment in fragments.split("|")), message


def test_a_byte_order_mark_is_passed_over() -> None:
    tree = read_tree(b"\xef\xbb\xbfa: 1\n")
    assert tree.root is not None
    assert (tree.root.value(), tree.key_place(("a",))) == ({"a": 1}, (1, 1))


def test_the_fault_of_a_second_tag_is_found_along_with_the_first() -> None:
    tree = read_tree(b"a: !x 1\nb: !y 2\nc: 3\nc: 4\n5: 6\n")
    assert [fault.line for fault in tree.faults] == [1, 2, 4, 5]
    assert [fault.lost for fault in tree.faults] == [("a",), ("b",), None, None]


# --- limits -----------------------------------------------------------------------------------------------------------


def bomb(levels: int, width: int) -> str:
    lines = [f"a0: &a0 [{', '.join(['x'] * width)}]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * width)}]" for n in range(1, levels)]
    return "\n".join(lines)


def test_aliases_cannot_blow_up() -> None:
    with at_most_calls(25_000):
        refuse_what_blows_up()
    assert read_tree(bomb(2, MAX_ALIASES).encode()).faults == ()


def refuse_what_blows_up() -> None:
    assert f"more than {MAX_NODES} values" in fault_of(bomb(9, 9))
    assert f"more than {MAX_ALIASES} aliases" in fault_of(bomb(2, MAX_ALIASES + 1))
    deep = "\n".join(["a0: &a0 []", *(f"a{n}: &a{n} [*a{n - 1}]" for n in range(1, 60))])
    assert f"more than {MAX_DEPTH} levels" in fault_of(deep)


def test_a_value_with_aliases_counts_as_it_is_written_out() -> None:
    root = read_tree(b"a: &a {b: [1, 2]}\nc: [*a, *a]\n").root
    assert root is not None
    assert root.size == 19  # the root, the keys a and c, the list, and three times five for {b: [1, 2]}
    assert root.height == 4


@pytest.mark.parametrize(
    "text",
    ["[" * 10**6, "- " * 10**6, "? " * 10**6, "{a: " * 10**6, "[a," * 10**6, "- a\n" * 10**6, "#" * (4 << 20), "a" * (4 << 20),
     "'" + "\n" * 10**6 + "'", "a: " + "\\" * 10**6, "a: |\n" + "  x\n" * 10**6, "!" * 10**6, "&" * 10**6, "--- a\n" * 10**5],
    ids=lambda text: repr(text[:5]),
)  # fmt: skip
def test_no_large_text_takes_long(text: str) -> None:  # what takes longer than the suite lets a test run fails
    tree = read_tree(text.encode(), loader=LOADERS[-1])
    assert tree.faults or tree.root is not None


def test_a_text_over_four_mebibytes_is_refused_at_once() -> None:
    assert "larger than 4 MiB" in fault_of(b"# " + b"x" * (4 << 20))
    assert read_tree(b"a: b # " + b"x" * ((4 << 20) - 7)).faults == ()


# --- properties -------------------------------------------------------------------------------------------------------

# What YAML cannot hold (control characters) or this reader refuses (NUL, halves of pairs), and NEL, LS and PS, which the
# parser takes for line ends, are left out; a backslash escape holds them.
letters = st.characters(
    exclude_categories=("Cs", "Cc"), exclude_characters="\u2028\u2029\ufffe\uffff"
) | st.sampled_from("\t\n'\"\\")
texts = st.text(letters, max_size=12)
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**40), 10**40)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)


def as_tuples(value: Any) -> object:
    if isinstance(value, dict):
        return {key: as_tuples(inner) for key, inner in value.items()}
    return tuple(as_tuples(inner) for inner in value) if isinstance(value, list) else value


@given(json_values, st.sampled_from([None, 2]), st.sampled_from(LOADERS))
@settings(max_examples=120, deadline=None)
def test_json_is_yaml(value: object, indent: int | None, loader: type) -> None:
    assert value_of(json.dumps(value, ensure_ascii=False, indent=indent), loader) == as_tuples(value)


def check_places(tree: Tree, text: str) -> None:
    """Every plain scalar stands where the tree says."""
    lines = text.splitlines()
    todo: list[tuple[str | int, ...]] = [()]
    while todo:
        path = todo.pop()
        node = tree.node(path)
        assert node is not None
        assert tree.value_place(path) == (node.line, node.column)
        if isinstance(node.content, dict):
            todo += [(*path, key) for key in node.content]
        elif isinstance(node.content, tuple):
            todo += [(*path, at) for at in range(len(node.content))]
        elif node.written:
            assert lines[node.line - 1][node.column - 1 :].startswith(node.written)


words = st.text("abcé", min_size=1, max_size=3)
plain_values = st.recursive(
    words | st.integers(0, 99),
    lambda inner: st.lists(inner, min_size=1, max_size=3) | st.dictionaries(words, inner, min_size=1, max_size=3),
    max_leaves=8,
)


@given(plain_values, st.booleans())
@settings(max_examples=100, deadline=None)
def test_places_are_right_in_block_and_flow_style(value: object, flow: bool) -> None:  # noqa: FBT001 - drawn
    text = yaml.safe_dump(value, default_flow_style=flow, allow_unicode=True, width=10**6)
    tree = read_tree(text.encode())
    assert tree.root is not None
    assert tree.root.value() == as_tuples(value)
    check_places(tree, text)


snippets = st.sampled_from(
    ["a", "b: ", "- ", "\n", "\n  ", "[", "]", "{", "}", ",", ": ", "? ", "&x ", "*x", "!!str ", "!t ", "'", '"', "|", ">", "#",
     "---\n", "...\n", "%YAML 1.1\n", "%TAG ! x\n", "<<: ", "\t", "\\", "\x85", "\ufeff", "\u2028", "1", "~", "\\x", "@", "`"]
)  # fmt: skip


@given(
    st.lists(snippets, max_size=25).map(lambda parts: "".join(parts).encode()) | st.binary(max_size=60),
    st.sampled_from(LOADERS),
)
@settings(max_examples=400, deadline=None)
def test_no_bytes_make_it_raise(data: bytes, loader: type) -> None:
    tree = read_tree(data, loader=loader)
    assert tree.root is not None or tree.faults
    lines = len(data.decode(errors="replace").splitlines()) + 1
    for fault in tree.faults:
        assert 1 <= fault.line <= lines
        assert fault.column >= 1
        assert "\n" not in fault.message
