from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.checks.contract import check_implementations
from orchestrator.model.finding import ConflictKind, Severity
from orchestrator.model.plan import Implementation
from tests.checks import CONTRACT, WORK, Files, check, class_text, kinds

HEAD = "from __future__ import annotations\nimport abc, functools, typing as t\nfrom typing import *\n"


def pair(promise: str, work: str, head: str = "class Store(IStore):") -> Files:
    above, _, members = work.rpartition("---\n")
    return {
        CONTRACT: HEAD + "from abc import *\n" + class_text("class IStore(ABC):", promise, "..."),
        WORK: HEAD
        + "from contracts.interfaces.store import IStore\n"
        + above
        + class_text(head, members, "return make()"),
    }


GET = "async def get(self, key: str, size: int = 5, *, raw: bool = False) -> bytes"
VIOLATIONS = {
    "missing": (GET, "def put(self)", "missing-method"),
    "only for type checkers": (
        "def get(self)",
        "if TYPE_CHECKING:\n    def get(self): return 1",
        "missing-method",
    ),
    "abstract elsewhere": (
        "def get(self)",
        "class M(abc.ABC):\n    @abc.abstractmethod\n    def get(self): ...\n---\ndef a(self)",
        "missing-method",
    ),
    "attribute": ("def get(self)", "get = 5", "not-a-method"),
    "annotated only": ("def get(self)", "get: Callable[[], int]", "not-a-method"),
    "nested class": ("def get(self)", "class get: pass", "not-a-method"),
    "computed": ("def get(self)", "get = make()", "~not-a-method"),
    "imported attribute": ("def get(self)", "from elsewhere import get", "~not-a-method"),
    "sync": (GET, GET.removeprefix("async "), "async"),
    "async": ("def get(self) -> int", "async def get(self) -> int", "async"),
    "generator": (
        "async def get(self) -> list[int]",
        "async def get(self) -> list[int]:\n    yield 1",
        "async",
    ),
    "manager": (
        "def get(self) -> AsyncContextManager[int]",
        "async def get(self) -> AsyncContextManager[int]",
        "async",
    ),
    "renamed": (GET, GET.replace("key", "name"), "param-missing"),
    "renamed keyword": (GET, GET.replace("raw", "plain"), "param-missing"),
    "dropped": (GET, GET.replace("key: str, ", ""), "param-missing"),
    "dropped keyword": (GET, GET.replace(", *, raw: bool = False", ""), "param-missing"),
    "dropped *args": ("def get(self, *keys)", "def get(self)", "param-missing"),
    "dropped **kwargs": ("def get(self, **keys)", "def get(self, *keys)", "param-missing"),
    "no self": ("def get(self, key)", "def get(key)", "param-missing"),
    "no place for self": ("def get(self)", "def get()", "method-kind"),
    "only by place": ("def get(self, key)", "def get(self, *keys)", "param-missing"),
    "caught": ("def get(self, key)", "def get(self, *args, **kwargs)", "~param-missing"),
    "caught keyword": ("def get(self, *, key)", "def get(self, **kwargs)", "~param-missing"),
    "caught by place": ("def get(self, key, /)", "def get(self, *args)", "~param-missing"),
    "swapped": ("def get(self, a, b)", "def get(self, b, a)", "param-order"),
    "swapped by place": ("def get(self, a, b, /)", "def get(self, b, a, /)", "param-order"),
    "optional in between": ("def get(self, a=1, b=2)", "def get(self, a=1, x=3, b=2)", "param-order"),
    "optional before *args": ("def get(self, *keys)", "def get(self, x=1, *keys)", "param-order"),
    "keyword-only lost": (GET, GET.replace("*, ", ""), "param-kind"),
    "keyword-only": (GET, GET.replace("size", "*, size").replace("*, raw", "raw"), "param-kind"),
    "positional-only": ("def get(self, key)", "def get(self, key, /)", "param-kind"),
    "no default": (GET, GET.replace(" = False", ""), "param-default"),
    "other default": (GET, GET.replace("5", "6"), "param-default"),
    "other kind of default": ("def get(self, a=1)", "def get(self, a='1')", "param-default"),
    "required": (GET, GET.replace("key: str", "key: str, tenant: str"), "param-extra-required"),
    "required first": ("def get(self, key)", "def get(self, tenant, key)", "param-extra-required"),
    "required keyword": ("def get(self)", "def get(self, *, tenant)", "param-extra-required"),
    "static": ("def get(self, key)", "@staticmethod\ndef get(key)", "method-kind"),
    "not static": ("@staticmethod\ndef get(key)", "def get(self, key)", "method-kind"),
    "class method": ("def get(self)", "@classmethod\ndef get(cls)", "method-kind"),
    "property": ("def get(self)", "@functools.cached_property\ndef get(self)", "method-kind"),
    "no property": ("@property\ndef get(self)", "def get(self)", "method-kind"),
    "read-only": (
        "@property\ndef get(self): ...\n@get.setter\ndef get(self, x)",
        "@property\ndef get(self)",
        "method-kind",
    ),
    "set on instances": (
        "@property\n@abstractmethod\ndef get(self)",
        "def __init__(self): self.get = 5",
        "method-kind",
    ),
    "docstring": (GET, GET + ":\n    'Get.'", "stub-body"),
    "dots": (GET, GET + ": ...", "stub-body"),
    "pass": (GET, GET + ": pass", "stub-body"),
    "raise": (GET, GET + ":\n    'Get.'\n    raise NotImplementedError('later')", "stub-body"),
    "property stub": ("@property\ndef get(self)", "@property\ndef get(self): ...", "stub-body"),
    "still abstract": ("def get(self)", "@abc.abstractmethod\ndef get(self)", "stub-body"),
    "overloads only": (
        "def get(self, a)",
        "@overload\ndef get(self, a): ...\n@overload\ndef get(self, a): ...",
        "stub-body",
    ),
    "alias": ("def get(self, key)", "def fetch(self, name)\nget = fetch", "param-missing"),
    "lambda": ("def get(self, key)", "get = lambda self, name: 1", "param-missing"),
    "overload": (
        "@overload\ndef get(self, a: int): ...\n@overload\ndef get(self, a: str, b: int = 1)",
        "def get(self, a)",
        "param-missing",
    ),
    "decorated": ("def get(self, key)", "@functools.wraps(make)\ndef get(self)", "param-missing"),
    "return type": (GET, GET.replace("bytes", "str"), "~annotation"),
    "no return type": (GET, GET.removesuffix(" -> bytes"), "~annotation"),
    "parameter type": (GET, GET.replace("key: str", "key: bytes"), "~annotation"),
    "property type": ("@property\ndef get(self) -> int", "get: str = ''", "~annotation"),
    "dunder": ("@abstractmethod\ndef __len__(self)", "def get(self)", "missing-method"),
    "private": ("@abstractmethod\ndef _get(self, key)", "def _get(self)", "param-missing"),
    "hook": ("@abstractmethod\ndef get(self): ...\ndef close(self)", "def get(self)", "~missing-method"),
    "raising": (
        "@abstractmethod\ndef a(self): ...\ndef get(self): raise NotImplementedError",
        "def a(self)",
        "missing-method",
    ),
}


@pytest.mark.parametrize(("promise", "work", "kind"), VIOLATIONS.values(), ids=VIOLATIONS)
def test_each_broken_promise_is_found_once_and_as_what_it_is(promise: str, work: str, kind: str) -> None:
    above = work.partition("---\n")[0] if "---" in work else ""
    head = "class Store(M, IStore):" if above else "class Store(IStore):"
    found = check(pair(promise, work, head))
    assert [("~" if v.severity is Severity.WARNING else "") + v.kind for v in found] == [kind]
    assert all(v.path == WORK and v.line is not None for v in found)
    structural = {"missing-method", "not-a-method", "stub-body"}
    assert all((v.conflict is ConflictKind.STRUCTURAL) == (v.kind in structural) for v in found)


KEPT = {
    "same": (GET, GET),
    "more, optional": (GET, GET.replace("raw: bool = False", "raw: bool = False, new=1, **rest")),
    "more, in place": ("def get(self, *, a=1)", "def get(self, b=1, *, a=1)"),
    "another self": (
        "def get(self, key)\n@classmethod\ndef new(cls)",
        "def get(s, key)\n@classmethod\ndef new(kind)",
    ),
    "self among args": ("def get(self, *a)", "def get(*a)"),
    "names of variadics": ("def get(self, *a, **k)", "def get(self, *args, **kwargs)"),
    "names by place": ("def get(self, key, other=1, /)", "def get(self, name, /, b=1)"),
    "static": ("@staticmethod\ndef get(key)", "@staticmethod\ndef get(key)"),
    "default added": ("def get(self, a, b)", "def get(self, a, b=1)"),
    "default spelled": ("def get(self, a='x', b=1_000, c=-1)", 'def get(self, a="x", b=1000, c=- 1)'),
    "default named": ("def get(self, a=5)", "SIZE = 5\n---\ndef get(self, a=SIZE)"),
    "default left open": ("def get(self, a=...)", "def get(self, a=7)"),
    "alias": ("def get(self, key)", "def fetch(self, key)\nget = fetch"),
    "function": ("def get(self, key)", "def fetch(s, key): return 1\n---\nget = fetch"),
    "static call": (
        "@staticmethod\ndef get(key)",
        "def fetch(key): return 1\n---\nget = staticmethod(fetch)",
    ),
    "property call": ("@property\ndef get(self)", "def fetch(self)\nget = property(fetch)"),
    "lambda": ("def get(self, key)", "get = lambda self, key: 1"),
    "cached property": (
        "@property\ndef get(self) -> int",
        "@functools.cached_property\ndef get(self) -> int",
    ),
    "class value": ("@property\n@abstractmethod\ndef get(self) -> int", "get: int = 5"),
    "setter": (
        "@property\ndef get(self): ...\n@get.setter\ndef get(self, x)",
        "@property\ndef get(self)\n@get.setter\ndef get(self, x)",
    ),
    "async generator": (
        "def get(self) -> AsyncIterator[int]",
        "async def get(self) -> AsyncIterator[int]:\n    yield 1",
    ),
    "async def with yield": (
        "async def get(self) -> AsyncIterator[int]",
        "async def get(self) -> AsyncIterator[int]:\n    yield 1",
    ),
    "awaitable": ("async def get(self) -> int", "def get(self) -> Awaitable[int]"),
    "coroutine": ("def get(self) -> Awaitable[int]", "async def get(self) -> int"),
    "manager": (
        "def get(self) -> AsyncContextManager[int]",
        "from contextlib import asynccontextmanager as acm\n---\n@acm\nasync def get(self):\n    yield 1",
    ),
    "inner yield": (
        "async def get(self) -> int",
        "async def get(self) -> int:\n    def inner(): yield 1\n    return 1",
    ),
    "overloads": (
        "@overload\ndef get(self, a: int): ...\n@overload\ndef get(self, a: str, b: int = ...)",
        "def get(self, a, b=3)",
    ),
    "overloads and all": (
        "@t.overload\ndef get(self, a: int): ...\ndef get(self, a)",
        "@t.overload\ndef get(self, a: str): ...\ndef get(self, a)",
    ),
    "decorated": ("def get(self, key)", "@retry(times=3)\ndef get(self, key)"),
    "one way or another": (
        "def get(self)",
        "if sys.platform == 'x':\n    def get(self): return 1\nelse:\n    def get(self): return 2",
    ),
    "type checkers": (
        "def get(self, a)",
        "if not TYPE_CHECKING:\n    def get(self, a): return 1\nelse:\n    def get(self): ...",
    ),
    "wrapped later": ("def get(self)", "def get(self)\ndef __init__(self): self.get = cache(self.get)"),
    "nothing to do": ("def get(self) -> None", "def get(self) -> None: return None"),
    "mixin": ("def get(self)", "class M:\n    def get(self): return 1\n---\ndef a(self)"),
    "body in the contract": ("def get(self): return 1", "def a(self)"),
    "type spellings": (
        "def get(self, a: Optional[int], b: Union[str, bytes]) -> List['int']",
        "def get(self, a: 'None | int', b: bytes | str) -> list[int]",
    ),
    "type variable": ("def get(self) -> Callable[P, T]", "def get(self) -> Callable[[int], str]"),
    "method called list": ("def list(self) -> list[int]", "def list(self) -> list[int]"),
    "not annotated": ("def get(self, key)", "def get(self, key: int) -> int"),
    "dunder": ("@abstractmethod\ndef __len__(self)\ndef __init__(self, a)", "def __len__(self)"),
    "private": ("def _get(self)\nsize: int", "def a(self)"),
}


@pytest.mark.parametrize(("promise", "work"), KEPT.values(), ids=KEPT)
def test_a_kept_promise_is_not_complained_about(promise: str, work: str) -> None:
    variables = "T = TypeVar('T')\nP = t.ParamSpec('P')\nclass IStore"
    files = pair(promise, work, "class Store(M, IStore):" if "class M" in work else "class Store(IStore):")
    files = {**files, CONTRACT: str(files[CONTRACT]).replace("class IStore", variables)}
    assert check(files) == ()


def test_messages_say_what_to_do() -> None:
    login = "async def login(self, email: str, password: str) -> Session"
    files = {
        CONTRACT: class_text("class IStore:", login, "..."),
        WORK: class_text("class Base:", login.replace("email: str, ", ""), "return 1")
        + class_text("class Store(Base):", "def logout(self)", "return 1"),
    }
    (found,) = check(files)
    assert str(found) == (
        "src/store/service.py:2: Store.login (written in Base): parameter 'email' of IStore is missing; "
        f"the contract says {login} (param-missing)"
    )


DATA = Path(__file__).parents[3] / "shared" / "data" / "contract-variants"
VARIANTS = {
    "v00_ok": set[str](),
    "v01_missing_method": {"missing-method"},
    "v02_renamed_param": {"param-missing"},
    "v03_changed_default": {"param-default"},
    "v04_sync": {"async"},
    "v05_wrong_return": {"~annotation"},
    "v06_param_type": {"~annotation"},
    "v07_extra_required": {"param-extra-required"},
    "v08_redefined_type": {"~annotation"},
    "v09_sibling_import": set[str](),
    "v10_undeclared_raise": set[str](),
}


@pytest.mark.skipif(not DATA.is_dir(), reason=f"needs the recorded variants in {DATA}")
@pytest.mark.parametrize(("variant", "expected"), VARIANTS.items(), ids=VARIANTS)
@pytest.mark.parametrize("interface", ["user_service:UserService", "user_proto:UserServiceP"])
def test_recorded_variants(interface: str, variant: str, expected: set[str]) -> None:
    def read(path: str) -> bytes | None:
        file = DATA / variant / path
        return file.read_bytes() if file.is_file() else None

    by = "app.users.service:SqlUserService"
    entry = Implementation(interface=f"contracts.interfaces.{interface}", by=by, task="U-1")
    found = check_implementations([entry], read)
    assert kinds(found) == expected
    assert {v.path for v in found} <= {"app/users/service.py"}
