"""A person writes in a shared file on the page, in a real browser, while agents stream into it."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from orchestrator.board.files import agent_author
from orchestrator.board.publication import read_url_file
from orchestrator.text.seat import FileSeat
from tests.e2e.test_interrupt import wait_for_line
from tests.e2e.test_together import authors
from tests.support.boards import eventually
from tests.support.orch import start_orch, write_plan
from tests.support.page import Papers, board_page, browser, need_chromium, open_page, picture, shown_run
from tests.support.page_runs import begun, card
from tests.support.repos import make_repo

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from playwright.async_api import Page

    from tests.support.page import ServedPage

pytestmark = pytest.mark.e2e

BASE = '"""Größe 😀."""\n\n# TODO:one The first\n\n\n# TODO:two The second\n\n\nlast = "é漢😀"\n'
ONE, TWO = ("".join(f"def {name}_{n}():\n    return 'ä{n}😀'\n" for n in range(9)) for name in ("one", "two"))
TYPED = "# Größe / by hand 漢😀"


def part(todo: str, text: str) -> list[dict[str, Any]]:
    return [{"claim": todo}, {"stream": {"path": "app.py", "text": text, "rate": 20}}, {"done": todo}]


def test_a_person_writes_along_and_is_blamed_for_it(tmp_path: Path) -> None:
    need_chromium()
    repo = make_repo(tmp_path / "repo", **{"app.py": BASE})
    todos = [{"id": name, "title": name.title()} for name in ("one", "two")]
    task = {"id": "A", "writes": ["app.py"], "todos": todos, "steps": [*part("one", ONE), *part("two", TWO)]}
    plan = write_plan(tmp_path / "p", [task])
    process = start_orch(
        "run", plan, "--mode", "crdt", "--run", "r", "--jobs", "2", "--listen", "127.0.0.1:0", cwd=repo.path
    )

    async def story() -> None:
        async with browser() as started:
            wait_for_line(process.stdout, "starts")
            board, keys = read_url_file(repo.path / ".git/orch/r")
            address = f"{board.replace('ws:', 'http:').removesuffix('board')}#token={keys.owner}"
            async with open_page(started, address, expected="ERR_CONNECTION_REFUSED") as page:
                await write_along(page)
                await page.wait_for_selector("#files [role=status]:has-text('Nobody writes this any more')")

    try:
        asyncio.run(story())
    except BaseException:
        process.kill()
        raise
    finally:
        out, err = process.communicate(timeout=60)
    assert process.returncode == 0, out + err
    whole = BASE.replace("# TODO:one The first", ONE).replace("# TODO:two The second", TWO)
    assert repo.show("app.py", "main") == f"{whole}{TYPED}\n"
    blamed = authors(repo)
    assert blamed[TYPED].endswith("written by a person")
    assert (blamed["def one_0():"], blamed["def two_8():"]) == ("A.one: One", "A.two: Two")


async def write_along(page: Page) -> None:
    await page.get_by_role("button", name="app.py").click()
    await page.wait_for_selector(".here:has-text('A.one')")
    await page.locator(".cm-line:has-text('last =')").click()
    await page.keyboard.press("Control+End")
    await page.keyboard.type(TYPED, delay=15)
    await page.keyboard.press("Enter")
    await page.wait_for_selector(f".by-person:has-text('{TYPED}')")
    assert "A.one (writing)" in await page.inner_text(".legend")
    await picture(page, "files")


CONTRAST = """node => {
    const numbers = (colour) => colour.match(/[\\d.]+/g).slice(0, 3).map((part) => part / 255);
    const light = (colour) => numbers(colour).map((part) => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4)
        .reduce((sum, part, n) => sum + part * [0.2126, 0.7152, 0.0722][n], 0.05);
    const { color, backgroundColor } = getComputedStyle(node);
    const [one, other] = [light(color), light(backgroundColor)];
    return Math.max(one, other) / Math.min(one, other);
}"""
TOPIC_PATH, AGENT = "a.gen-1/src/größe #1.py", agent_author("a.gen-1.A.one")


@asynccontextmanager
async def streaming() -> AsyncIterator[tuple[ServedPage, FileSeat]]:
    """Serve the page of a run in which an agent is writing a file."""
    async with board_page(Papers()) as (hub, served):
        shown_run(hub, card("a")).tell(*begun("a"))
        topic = hub.files.open(TOPIC_PATH)
        seat = FileSeat(topic, AGENT, lambda topic: hub.dial_file(topic, AGENT))
        await seat.synced()
        try:
            yield served, seat
        finally:
            await seat.close()


async def opened(page: Page) -> None:
    await page.get_by_role("button", name="src/größe #1.py").click()
    await page.wait_for_selector(".here:has-text('A.one')")


async def until_it_reads(seat: FileSeat, text: str) -> None:
    try:
        await eventually(lambda: str(seat.text) == text, seconds=5)
    except TimeoutError:
        assert str(seat.text) == text


def test_what_is_typed_where_an_agent_writes_comes_after_it_and_can_be_undone() -> None:
    need_chromium()

    async def story() -> None:
        async with streaming() as (served, seat), browser() as started:
            slot, _ = seat.slots.open(0)
            slot.append("é漢😀")
            phone = {"width": 360, "height": 740}
            async with (
                open_page(
                    started, served.address, viewport=phone, has_touch=True, is_mobile=True, color_scheme="dark"
                ) as page,
                open_page(started, served.address) as other,
            ):
                for each in (page, other):
                    await opened(each)
                await page.locator(".cm-line").tap()
                await page.keyboard.press("End")
                slot.append(" one")
                await page.wait_for_selector(".by-0:has-text(' one')")
                await page.keyboard.type("#1")
                await until_it_reads(seat, "é漢😀 one#1")
                slot.append(" two\r\n")
                await page.wait_for_selector(".by-0:has-text(' two')")
                await page.keyboard.type("/2")
                await until_it_reads(seat, "é漢😀 one two\r\n#1/2")
                await page.keyboard.press("Control+z")
                await page.keyboard.press("Control+Shift+Z")
                await until_it_reads(seat, "é漢😀 one two\r\n#1/2")
                await other.wait_for_selector(".here:has-text('another person')")
                await other.wait_for_selector("#files [role=status]:has-text('1 other person here')")
                assert not await page.evaluate("document.documentElement.scrollWidth > innerWidth")
                await picture(page, "files-phone")
                for look, each in ((".by-0", page), (".by-person", page), (".by-0", other), (".by-person", other)):
                    assert await each.locator(f".cm-line {look}").first.evaluate(CONTRAST) > 7
                await page.keyboard.press("Control+a")
                await page.keyboard.press("Backspace")
                await until_it_reads(seat, "")
                slot.append("goes on")
                await page.wait_for_selector(".by-0:has-text('goes on')")
                await page.keyboard.press("Escape")
                await page.wait_for_selector(".editor", state="hidden")
                assert await page.evaluate("document.activeElement.textContent") == "src/größe #1.py"

    asyncio.run(story())


def test_who_may_only_look_sees_it_and_types_nothing() -> None:
    need_chromium()

    async def story() -> None:
        async with streaming() as (served, seat), browser() as started:
            slot, _ = seat.slots.open(0)
            slot.append("x = 1")
            async with open_page(started, f"{served.url}#token={served.keys.reader()}") as page:
                await opened(page)
                await page.locator(".cm-line").click()
                await page.keyboard.type("typed")
                slot.append("2")
                await page.wait_for_selector(".by-0:has-text('x = 12')")
                assert "does not allow" in await page.inner_text("#files [role=status]")
                assert str(seat.text) == "x = 12"

    asyncio.run(story())
