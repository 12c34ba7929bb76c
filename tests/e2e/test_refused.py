"""Work outside its boundary is refused, whatever way it takes, and kept on its branch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.orch import orch, write_plan
from tests.support.repos import Repo, make_repo

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.e2e, pytest.mark.unconfined]


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    return make_repo(tmp_path / "repo", README_txt="start\n", other__b_txt="b\n", mine__x_txt="x\n")


BOUNDARY_CASES = {
    "add": ("echo x > other/new.txt", "out-of-scope", "other/new.txt"),
    "edit": ("echo x > other/b.txt", "out-of-scope", "other/b.txt"),
    "delete": ("rm other/b.txt", "out-of-scope", "other/b.txt"),
    "rename from": ("mv other/b.txt mine/b.txt", "out-of-scope", "other/b.txt"),
    "rename to": ("mv mine/x.txt other/x.txt", "out-of-scope", "other/x.txt"),
    "mode": ("chmod +x other/b.txt", "out-of-scope", "other/b.txt"),
    "symlink out": ("ln -s /etc/passwd mine/l", "symlink", "mine/l"),
    "symlink across": ("ln -s ../other/b.txt mine/l", "symlink", "mine/l"),
    "file to symlink": ("ln -sf ../other/b.txt mine/x.txt", "symlink", "mine/x.txt"),
    "submodule": (
        "git init -q mine/s; cd mine/s; git -c user.name=x -c user.email=x commit -q --allow-empty -m x", "submodule", "mine/s",
    ),
    "attributes": ("echo '* merge=union' > mine/.gitattributes", "control-file", "mine/.gitattributes"),
    "modules": ("touch .gitmodules", "out-of-scope", ".gitmodules"),
    "workflow": ("mkdir -p mine/.github/workflows && touch mine/.github/workflows/x.yml", "control-file", ".github"),
    "contract": ("echo x >> contracts/c.py", "contract", "contracts/c.py"),
    "shared": ("mkdir -p mine/lib && touch mine/lib/x", "shared", "mine/lib/x"),
    "undone in a later commit": (
        """export GIT_AUTHOR_NAME=x GIT_AUTHOR_EMAIL=x GIT_COMMITTER_NAME=x GIT_COMMITTER_EMAIL=x
        echo x > other/n; git add -A; git commit -qm 1; git rm -q other/n; git commit -qm 2; echo y > mine/y""",
        "out-of-scope", "other/n",
    ),
    "hidden by index flags": (
        "git update-index --assume-unchanged other/b.txt; echo x > other/b.txt", "out-of-scope", "other/b.txt",
    ),
    "hidden in an ignored folder that git tracks": (
        "echo other > .git/info/exclude 2>/dev/null; echo x > other/b.txt", "out-of-scope", "other/b.txt",
    ),
}  # fmt: skip


def test_each_boundary_violation_is_refused_and_kept(tmp_path: Path) -> None:
    names = {f"mine{number}": case for number, case in enumerate(BOUNDARY_CASES)}
    repo = make_repo(tmp_path / "repo", other__b_txt="b\n", **{f"{name}__x_txt": "x\n" for name in names})
    before = repo.head()
    tasks = [
        {
            "id": name, "writes": [f"{name}/**", *(["contracts/**"] if case == "contract" else [])], "attempts": 1,
            "steps": [{"run": BOUNDARY_CASES[case][0].replace("mine", name)}],
        }
        for name, case in names.items()
    ]  # fmt: skip
    shared = [f"{name}/lib/**" for name, case in names.items() if case == "shared"]
    plan = write_plan(tmp_path / "p", tasks, contracts={"files": {"contracts/c.py": "C = 1\n"}}, shared=shared)
    said = orch("run", plan, "--json", cwd=repo.path)
    assert said.code == 1, said.err
    for task in said.json["tasks"]:
        _, kind, path = BOUNDARY_CASES[names[task["id"]]]
        boundary = next(c for c in task["checks"] if c["name"] == "boundary")
        assert not boundary["passed"], task
        assert any(
            v["kind"] == kind and path.replace("mine", task["id"]) in v["path"] for v in boundary["violations"]
        ), task
        assert repo.git("rev-parse", "--verify", task["branch"])
    assert repo.git("rev-list", "--count", f"{before}..HEAD") == "1"  # the contracts, and nothing else
