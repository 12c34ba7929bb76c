from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.checks import CONTRACT, WORK, Files, check, kinds

PLAIN = "class IStore:\n    def get(self, key): ...\n"
ABC = "import abc as a\nclass IStore(a.ABC):\n    @a.abstractmethod\n    def get(self, key): ...\n"
GOOD = "class Store:\n    def get(self, key): return 1\n"
BAD = "class Store({}):\n    def get(self, name): return 1\n"
FETCHED = "class Store({}):\n    pass\n"
GIVEN = "class Base:\n    def get(self, key): return 1\n"
FROM = "from contracts.interfaces.store import IStore\n"
TREES: dict[str, tuple[Files, set[str]]] = {
    "good": ({WORK: GOOD}, set()),
    "no module": ({}, {"missing-module"}),
    "no class": ({WORK: "class Other: ..."}, {"missing-class"}),
    "a function": ({WORK: "\ndef Store(): ..."}, {"missing-class"}),
    "for type checkers": ({WORK: "if TYPE_CHECKING:\n    class Store: ..."}, {"missing-class"}),
    "from elsewhere": ({WORK: "from elsewhere import Store"}, {"missing-class"}),
    "broken": ({WORK: "class Store:\n  def"}, {"syntax"}),
    "await outside": ({WORK: "def f():\n    await g()\n" + GOOD}, {"syntax"}),
    "broken contract": ({WORK: GOOD, CONTRACT: "class"}, {"syntax"}),
    "no contract": ({WORK: GOOD, CONTRACT: "x = 1"}, {"missing-interface"}),
    "no class in it": ({WORK: GOOD, CONTRACT: "def IStore(): ..."}, {"missing-interface"}),
    "class by another name": ({WORK: GOOD.replace("Store", "_Store") + "Store = _Store"}, set()),
    "package": ({"src/store/service/__init__.py": GOOD}, set()),
    "re-export": (
        {
            "src/store/service/__init__.py": "from .impl import Impl as Store",
            "src/store/service/impl.py": GOOD.replace("Store", "Impl"),
        },
        set(),
    ),
    "star": ({WORK: "from .impl import *", "src/store/impl.py": GOOD}, set()),
    "same names": (
        {"src/store/service/__init__.py": "from .Store import Store", "src/store/service/Store.py": GOOD},
        set(),
    ),
    "relative base": (
        {WORK: "from ..base import Base as B\n" + FETCHED.format("B"), "src/base.py": GIVEN},
        set(),
    ),
    "base of a module": (
        {WORK: "import src.base\n" + FETCHED.format("src.base.Base"), "src/base.py": GIVEN},
        set(),
    ),
    "base of a renamed module": (
        {WORK: "import src.base as b\n" + FETCHED.format("b.Base"), "src/base.py": GIVEN},
        set(),
    ),
    "sibling": (
        {
            "src/store/service/__init__.py": "from . import b\n" + FETCHED.format("b.Base"),
            "src/store/service/b.py": GIVEN,
        },
        set(),
    ),
    "generic base": ({WORK: GIVEN.replace("Base", "Base(Generic[T])") + FETCHED.format("Base[int]")}, set()),
    "broken base": (
        {WORK: "from src.base import Base\n" + FETCHED.format("Base"), "src/base.py": "("},
        {"syntax", "~missing-method"},
    ),
    "method of a base": (
        {WORK: GIVEN.replace("get", "a") + FETCHED.format("Base").replace("pass", "get = Base.a")},
        set(),
    ),
    "round in a circle": (
        {
            WORK: "from src.base import Store, Base\n",
            "src/base.py": "from src.store.service import Store, Base\n",
        },
        {"missing-class"},
    ),
    "bases in a circle": ({WORK: "class A(Store): ...\n" + FETCHED.format("A")}, {"missing-method"}),
    "impossible bases": ({WORK: GIVEN + "class A(Base): ...\n" + FETCHED.format("Base, A")}, set()),
    "alias of itself": (
        {WORK: FETCHED.format("").replace("pass", "get = put\n    put = get")},
        {"~not-a-method"},
    ),
    "base not in the tree": ({WORK: "from lib import B\n" + FETCHED.format("B")}, {"~missing-method"}),
    "computed base": ({WORK: FETCHED.format("make(1)")}, {"~missing-method"}),
    "asked after the contract": (
        {WORK: FROM + "from lib import B\n" + FETCHED.format("IStore, B")},
        {"missing-method"},
    ),
    "asked before the contract": (
        {WORK: FROM + "from lib import B\n" + FETCHED.format("B, IStore")},
        {"~missing-method"},
    ),
    "guarded import": (
        {WORK: "if TYPE_CHECKING:\n    " + FROM + "else:\n    IStore = object\n" + BAD.format("IStore")},
        {"param-missing"},
    ),
    "not declared": ({WORK: GOOD, CONTRACT: ABC}, {"~not-declared"}),
    "declared": ({WORK: FROM + GOOD.replace("Store", "Store(IStore)"), CONTRACT: ABC}, set()),
    "declared by a base": (
        {WORK: FROM + GIVEN.replace("Base", "Base(IStore)") + FETCHED.format("Base"), CONTRACT: ABC},
        set(),
    ),
    "metaclass": (
        {WORK: GOOD, CONTRACT: PLAIN.replace("IStore", "IStore(metaclass=abc.ABCMeta)")},
        {"~not-declared"},
    ),
    "protocol": (
        {WORK: GOOD, CONTRACT: "import typing\n" + PLAIN.replace("IStore", "IStore(typing.Protocol)")},
        set(),
    ),
    "special method of a protocol": (
        {
            WORK: GOOD,
            CONTRACT: "from typing_extensions import *\nclass IStore(Protocol):\n    def __call__(self): ...",
        },
        {"missing-method"},
    ),
    "special method by a decorator": (
        {WORK: "@dataclass\n" + GOOD, CONTRACT: ABC.replace("get(self, key)", "__eq__(self, o)")},
        {"~missing-method", "~not-declared"},
    ),
    "contract above": (
        {
            WORK: GOOD.replace("key", "name"),
            CONTRACT: "from .base import IBase\nclass IStore(IBase): ...",
            "contracts/interfaces/base.py": PLAIN.replace("IStore", "IBase"),
        },
        {"param-missing"},
    ),
    "another type": (
        {
            WORK: "class Key: ...\n" + GOOD.replace("key", "key: Key"),
            CONTRACT: "class Key: ...\n" + PLAIN.replace("key", "key: Key"),
        },
        {"~annotation"},
    ),
    "the same type": (
        {
            WORK: "from src.store import Key\n" + GOOD.replace("key", "key: Key"),
            CONTRACT: "import store.keys as k\n" + PLAIN.replace("key", "key: 'k.Key'"),
            "src/store/__init__.py": "from .keys import Key",
            "src/store/keys.py": "class Key: ...",
        },
        set(),
    ),
    "null byte": ({WORK: b"class Store:\0"}, {"syntax"}),
    "no text": ({WORK: b"\xff\xfe\0c"}, {"syntax"}),
    "bad encoding": ({WORK: b"# coding: hex\nclass Store: ..."}, {"syntax"}),
    "latin-1": ({WORK: b"# coding: latin-1\nx = '\xe9'\n" + GOOD.encode()}, set()),
    "byte order mark": ({WORK: b"\xef\xbb\xbf" + GOOD.encode()}, set()),
    "too deep": ({WORK: "x = " + "(" * 5000}, {"syntax"}),
    "deep operators": ({WORK: "x = " + "-" * 90_000 + "1"}, {"syntax"}),
    "deep type": ({WORK: GOOD.replace("key)", "key) -> " + "|".join("a" * 900))}, {"syntax"}),
    "long sum in a body": ({WORK: GOOD.replace("1", "+".join("1" * 900))}, set()),
    "invalid escape": ({WORK: "x = '\\d'\n" + GOOD}, set()),
    "it would do harm": ({WORK: "raise SystemExit(9)\n" + GOOD}, set()),
}


@pytest.mark.parametrize(("files", "expected"), TREES.values(), ids=TREES)
def test_classes_are_found_and_judged_wherever_they_are_written(files: Files, expected: set[str]) -> None:
    found = check({CONTRACT: PLAIN, **files})
    assert kinds(found) == expected
    assert all(v.line or v.kind in {"missing-module", "syntax"} for v in found)


@given(st.binary() | st.text().map(str.encode) | st.text("class Store:(){}[]\n \t@=.,'\"#\\*").map(str.encode))
@settings(max_examples=150, deadline=None)
def test_no_file_stops_the_check(blob: bytes) -> None:
    trees: list[Files] = [{WORK: blob, CONTRACT: PLAIN}, {WORK: GOOD, CONTRACT: blob}]
    for files in trees:
        assert kinds(check(files)) <= {"syntax", "missing-class", "missing-interface"}


@pytest.mark.parametrize(
    ("by", "interface", "expected"),
    [
        ("store.service:Store", "contracts.interfaces.store:IStore", set()),
        ("src.store.service:Outer.Inner", "contracts.interfaces.store:IStore", {"missing-method"}),
        ("src.store.service:Outer.Other", "contracts.interfaces.store:IStore", {"missing-class"}),
        ("src.store.service:Store.get", "contracts.interfaces.store:IStore", {"missing-class"}),
        ("src.nowhere:Store", "contracts.nowhere:IStore", {"missing-module", "missing-interface"}),
        (
            "src.store:service.Store",
            "contracts:interfaces.store.IStore",
            {"missing-module", "missing-interface"},
        ),
    ],
)
def test_references_of_a_plan(by: str, interface: str, expected: set[str]) -> None:
    text = GOOD + "class Outer:\n    class Inner:\n        def put(self): return 1\n"
    assert kinds(check({WORK: text, CONTRACT: PLAIN}, by, interface)) == expected


def test_a_file_before_a_package_and_the_root_before_src() -> None:
    places = ["store.py", "store/__init__.py", "src/store.py", "src/store/__init__.py"]
    for place, path in enumerate(places):
        files = {CONTRACT: PLAIN} | dict.fromkeys(places[place:], GOOD.replace("key", "name"))
        (found,) = check(files, "store:Store")
        assert found.path == path


def test_griffe_is_imported_only_when_something_is_checked() -> None:
    code = "import sys, orchestrator.checks.contract as c; c.check_implementations([], open)"
    command = [sys.executable, "-c", f"{code}; print('griffe' in sys.modules)"]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "False\n"
