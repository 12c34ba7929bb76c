"""The file tools of our own agent loop, in folders where somebody has planted what leads elsewhere."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

import pytest

from orchestrator.agents.file_tools import (
    EditFile,
    FileTools,
    ListFiles,
    ReadFile,
    SearchFiles,
    ToolRefused,
    WriteFile,
)

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.txt").write_text("secret\n")
    root = tmp_path / "tree"
    (root / "src").mkdir(parents=True)
    (root / ".git").write_text("gitdir: elsewhere\n")
    (root / "src" / "app.py").write_text("def one():\n    return 1\n\n\ndef two():\n    return 2\n")
    (root / "node_modules").mkdir()
    (root / "node_modules" / "lib.js").write_text("return\n")
    (root / "link").symlink_to(outside)
    (root / "file-link").symlink_to(outside / "secret.txt")
    (root / "dangling").symlink_to(outside / "new.txt")
    (root / "other-name").hardlink_to(outside / "secret.txt")
    os.mkfifo(root / "pipe")
    (root / "binary").write_bytes(b"\xff\xfe\0return")
    return root


def tools(tree: Path, refused: str = "") -> FileTools:
    return FileTools(folder=tree, may_write=lambda path: "it is not yours" if path == refused else "")


def search(files: FileTools, pattern: str, folder: str = ".", names: str = "*") -> str:
    return asyncio.run(files.search(SearchFiles(pattern=pattern, folder=folder, files=names)))


NOT_INSIDE = [
    "../outside/secret.txt", "src/../../outside/secret.txt", "/etc/passwd", "", ".", ".git", ".git/config", "src/.GIT/x",
    "src/.git", "a\0b", "link/secret.txt", "link/../tree/src/app.py",
]  # fmt: skip


@pytest.mark.parametrize("path", [*NOT_INSIDE, "file-link", "pipe", "dangling", "src", "link"])
def test_nothing_is_read_or_written_through_a_path_that_leads_elsewhere(tree: Path, path: str) -> None:
    files = tools(tree)
    with pytest.raises(ToolRefused):
        files.read(ReadFile(path=path))
    with pytest.raises(ToolRefused):
        files.write(WriteFile(path=path, text="mine"))
    with pytest.raises(ToolRefused):
        files.edit(EditFile(path=path, old="e", new="mine", everywhere=True))
    outside = tree.parent / "outside"
    assert [p.name for p in outside.iterdir()] == ["secret.txt"]
    assert (outside / "secret.txt").read_text() == "secret\n"
    assert (tree / ".git").read_text() == "gitdir: elsewhere\n"
    assert files.written == 0


@pytest.mark.parametrize("folder", ["../outside", "/etc", "link", ".git", "src/app.py", "nowhere"])
def test_nothing_is_listed_or_searched_elsewhere(tree: Path, folder: str) -> None:
    with pytest.raises(ToolRefused):
        tools(tree).list_files(ListFiles(folder=folder))
    with pytest.raises(ToolRefused):
        search(tools(tree), "e", folder)


def test_another_name_of_a_file_outside_is_replaced_and_not_followed(tree: Path) -> None:
    tools(tree).write(WriteFile(path="other-name", text="mine"))
    assert (tree / "other-name").read_text() == "mine"
    assert (tree.parent / "outside" / "secret.txt").read_text() == "secret\n"


def test_a_file_is_written_changed_and_keeps_its_mode(tree: Path) -> None:
    files = tools(tree)
    files.write(WriteFile(path=f"{tree}/new/deep/run.sh", text="echo one\necho one\n"))
    (tree / "new/deep/run.sh").chmod(0o755)
    with pytest.raises(ToolRefused, match="2 times"):
        files.edit(EditFile(path="new/deep/run.sh", old="one", new="two"))
    with pytest.raises(ToolRefused, match="is not in"):
        files.edit(EditFile(path="new/deep/run.sh", old="three", new="two"))
    assert files.edit(EditFile(path="./new/deep/run.sh", old="one", new="two", everywhere=True)).endswith("2 places.")
    files.edit(EditFile(path="new/deep/run.sh", old="two\necho", new="three\necho"))
    assert (tree / "new/deep/run.sh").read_text() == "echo three\necho two\n"
    assert (tree / "new/deep/run.sh").stat().st_mode & 0o777 == 0o755
    files.write(WriteFile(path="new/deep/run.sh", text="echo three\necho two\n"))
    assert files.written == 3, "what is written as it was is no change"
    assert [p.name for p in (tree / "new/deep").iterdir()] == ["run.sh"]


def test_what_may_not_be_written_is_not_and_the_model_is_told_why(tree: Path) -> None:
    files = tools(tree, refused="src/app.py")
    with pytest.raises(ToolRefused, match=r"may not write src/app.py: it is not yours\..*scope_request"):
        files.write(WriteFile(path="src//./app.py", text=""))
    with pytest.raises(ToolRefused, match="not yours"):
        files.edit(EditFile(path="src/app.py", old="1", new="2"))
    assert files.written == 0


def test_lines_that_have_not_changed_are_not_sent_again(tree: Path) -> None:
    files = tools(tree)
    first = files.read(ReadFile(path="src/app.py", lines=2))
    assert first == "1\tdef one():\n2\t    return 1\n(4 more lines; read on from line 3)"
    assert "have not changed" in files.read(ReadFile(path="src/app.py", lines=2))
    assert files.read(ReadFile(path="src/app.py", start=5)) == "5\tdef two():\n6\t    return 2"
    assert files.read(ReadFile(path="src/app.py", start=50)) == "src/app.py has 6 lines."
    files.edit(EditFile(path="src/app.py", old="return 1", new="return 3"))
    assert "return 3" in files.read(ReadFile(path="src/app.py", lines=2))


def test_what_is_no_text_or_too_large_is_not_read(tree: Path) -> None:
    (tree / "large").write_bytes(b"x" * (2 * 1024 * 1024 + 1))
    for path, why in (("large", "larger than"), ("binary", "no UTF-8")):
        with pytest.raises(ToolRefused, match=why):
            tools(tree).read(ReadFile(path=path))
    (tree / "wide").write_text("x" * 50_000)
    assert tools(tree).read(ReadFile(path="wide")).endswith("(cut after 30000 characters)")


def test_files_are_listed_without_what_nobody_wrote(tree: Path) -> None:
    assert tools(tree).list_files(ListFiles()).splitlines() == [
        "binary", "dangling", "file-link", "other-name", "pipe", "src/app.py"
    ]  # fmt: skip
    (tree / "many").mkdir()
    for number in range(510):
        (tree / "many" / f"{number:03}").touch()
    listed = tools(tree).list_files(ListFiles(folder="many")).splitlines()
    assert (len(listed), listed[0], listed[-1]) == (501, "many/000", "(more than 500 files; list a folder below)")


def test_a_search_finds_text_and_follows_nothing(tree: Path) -> None:
    assert search(tools(tree), "return [0-9]") == "src/app.py:2:    return 1\nsrc/app.py:6:    return 2"
    assert search(tools(tree), "return", "src", "*.txt") == "No line matches."
    assert "secret" not in search(tools(tree), "secret", ".", "file-*")
    with pytest.raises(ToolRefused, match="Unmatched"):
        search(tools(tree), "(")
    (tree / "many").write_text("hit\n" * 300)
    assert search(tools(tree), "hit").endswith("(more than 100 lines; search for something narrower)")
    (tree / "flood").write_text("hit and more of it\n" * 400_000)
    assert search(tools(tree), "hit", ".", "flood").startswith("flood:1:hit and more of it\n")


def test_an_expression_that_never_comes_to_an_end_is_given_up(tree: Path) -> None:
    (tree / "aaa").write_text("cd" + "a" * 300 + "c\n")
    files = tools(tree)
    files.search_seconds = 0.3
    with pytest.raises(ToolRefused, match=r"took more than 0.3 s"):
        search(files, r"^cd(a*)(a*)(a*)\1\2\3b$|(a*)(a*)(a*)\4\5\6d")
