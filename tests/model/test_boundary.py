"""Which paths a task may touch: every kind of violation, and what is none."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.model.boundary import (
    Boundary,
    Entry,
    PathChange,
    boundary_of,
    control_part,
    declared_entries,
    forms_of,
    twins_of,
    violations_of,
)
from orchestrator.model.finding import Severity
from orchestrator.model.globs import Scope
from orchestrator.model.plan import Plan

FILE, EXEC, LINK, SUB, NONE = "100644", "100755", "120000", "160000", "000000"
BLOB = "b" * 40


def bounds(*scope: str, declared: frozenset[Entry] = frozenset()) -> Boundary:
    return Boundary(
        scope=Scope(scope), contracts=Scope(["contracts/a.py"]), shared=Scope(["src/shared/**"]), declared=declared
    )


def changed(path: str, old: str = NONE, new: str = FILE, target: str | None = None) -> PathChange:
    return PathChange(path=path, old_mode=old, new_mode=new, new_blob=BLOB, link_target=target)


@pytest.mark.parametrize(
    ("scope", "change", "kind"),
    [
        (["src/a/**"], changed("src/a/x.py"), None),
        (["src/a/**"], changed("src/a/x.py", FILE, NONE), None),
        (["src/a/**"], changed("src/a/x.py", FILE, EXEC), None),
        (["src/a/**"], changed("src/b/x.py"), "out-of-scope"),
        (["src/a/**"], changed("src/b/x.py", FILE, NONE), "out-of-scope"),
        (["src/a/**"], changed("src/b/x.py", FILE, EXEC), "out-of-scope"),
        (["src/a/**"], changed("src/a-evil/x.py"), "out-of-scope"),
        (["src/a/**"], changed("Src/a/x.py"), "out-of-scope"),
        (["README.md"], changed("README.md/x"), "out-of-scope"),
        ([], changed("x"), "out-of-scope"),
        (["**"], changed("contracts/a.py", FILE, FILE), "contract"),
        (["**"], changed("src/shared/x.py"), "shared"),
        (["**"], changed(".git/config"), "git-folder"),
        (["**"], changed("a/.GIT/config"), "git-folder"),
        (["**"], changed("src/.gitattributes"), "control-file"),
        (["**"], changed(".github/workflows/ci.yml"), "control-file"),
        (["**"], changed("x/.GitHub/workflows/ci.yml"), "control-file"),
        (["**"], changed(".gitmodules", FILE, NONE), "control-file"),
        (["src/.gitattributes"], changed("src/.gitattributes"), None),
        (["**/.gitattributes"], changed("src/.gitattributes"), None),
        ([".github/**"], changed(".github/workflows/ci.yml"), None),
        (["**", "docs/.github/x"], changed(".github/workflows/ci.yml"), "control-file"),
        (["src/a/**"], changed("src/a/l", NONE, LINK, "x.py"), None),
        (["src/a/**"], changed("src/a/l", NONE, LINK, "sub"), None),
        (["src/a/**"], changed("src/a/l", NONE, LINK, "/etc/passwd"), "symlink"),
        (["src/a/**"], changed("src/a/l", NONE, LINK, "C:\\x"), "symlink"),
        (["src/a/**"], changed("src/a/l", NONE, LINK, "../../../x"), "symlink"),
        (["src/a/**"], changed("src/a/l", FILE, LINK, "../b/x.py"), "symlink"),
        (["src/a/**"], changed("src/a/l", NONE, LINK, "../a/../b"), "symlink"),
        (["src/a/**"], changed("src/a/l", NONE, LINK, "d/../x.py"), "symlink"),
        (["src/a/**"], changed("src/a/l", NONE, LINK, "./sub/x.py"), None),
        (["src/a/**"], changed("src/a/b/l", NONE, LINK, "../x.py"), None),
        (["**"], changed("src/l", NONE, LINK, "shared/x.py"), "symlink"),
        (["**"], changed("src/l", NONE, LINK, "../.git/hooks"), "symlink"),
        (["src/a/**"], changed("src/a/l", LINK, NONE), None),
        (["src/a/**"], changed("src/a/s", NONE, SUB), "submodule"),
        (["src/a/**"], changed("src/a/s", SUB, SUB), "submodule"),
        (["src/a/**"], changed("src/a/s", SUB, NONE), "submodule"),
        (["src/a/s"], changed("src/a/s", SUB, NONE), None),
    ],
)
def test_each_kind_of_violation(scope: list[str], change: PathChange, kind: str | None) -> None:
    found = violations_of([change], bounds(*scope))
    assert [v.kind for v in found] == ([kind] if kind else [])
    assert all(v.path == change.path and v.severity is Severity.ERROR for v in found)


def test_a_rename_is_judged_on_both_sides() -> None:
    moved = [changed("src/b/y.py", FILE, NONE), changed("src/a/y.py")]
    assert [v.path for v in violations_of(moved, bounds("src/a/**"))] == ["src/b/y.py"]


def test_what_the_plan_itself_spells_out_is_not_the_agents_doing() -> None:
    link = changed("src/a/l", NONE, LINK, "/dev/null")
    assert not violations_of([link], bounds("src/a/**", declared=frozenset({Entry("src/a/l", LINK, BLOB)})))
    assert violations_of([link], bounds("src/a/**", declared=frozenset({Entry("src/a/l", LINK, "c" * 40)})))
    assert violations_of([link], bounds("src/b/**", declared=frozenset({Entry("src/a/l", LINK, BLOB)})))


def test_a_patch_declares_its_links_and_submodules() -> None:
    one, two, three = "1" * 40, "2" * 40, "3" * 40
    patch = (
        f"diff --git a/l b/l\nnew file mode 120000\nindex {'0' * 40}..{one}\n--- /dev/null\n+++ b/l\n"
        f'diff --git "a/caf\\303\\251 \\"x\\"" "b/caf\\303\\251 \\"x\\""\nindex {one}..{two} 120000\n'
        f"diff --git a/s b/s\nnew file mode 160000\nindex {'0' * 40}..{three}\n"
        f"diff --git a/f b/f\nnew file mode 100644\nindex {'0' * 40}..{one}\n"
    )
    assert list(declared_entries(patch.encode())) == [
        Entry("l", LINK, one), Entry('café "x"', LINK, two), Entry("s", SUB, three),
    ]  # fmt: skip


def test_the_boundary_of_a_task_takes_contracts_and_shared_paths_out() -> None:
    values: dict[str, Any] = {
        "version": 1,
        "name": "p",
        "contracts": {"files": {"contracts/a[1].py": "x"}},
        "shared": ("lib/**",),
        "tracks": {"t": {"owns": ("**",)}},
        "tasks": ({"id": "A", "track": "t", "steps": ({"run": "true"},)},),
    }
    plan = Plan.model_validate(values)
    boundary = boundary_of(plan, plan.tasks[0])
    assert [boundary.allows(p) for p in ("x", "contracts/a[1].py", "contracts/a1.py", "lib/x")] == [
        True,
        False,
        True,
        False,
    ]


def test_control_files_are_found_at_any_depth() -> None:
    assert control_part("a/b/.gitattributes") == ".gitattributes"
    assert control_part(".github/x") == ".github"
    assert control_part("src/app.py") is None
    assert control_part("github/workflows") is None


def test_twins_are_reported_and_do_not_keep_work_from_landing() -> None:
    found = twins_of(["Readme.md", "caf\u0065\u0301", "x"], forms_of(["README.md", "caf\u00e9"]))
    assert [(v.path, v.severity) for v in found] == [
        ("Readme.md", Severity.WARNING), ("caf\u0065\u0301", Severity.WARNING),
    ]  # fmt: skip
