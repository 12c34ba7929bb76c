"""The page of a run in a real browser, driven as people drive it."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import pytest

from orchestrator.board.hub import open_board
from orchestrator.board.publication import read_url_file
from orchestrator.model.todo import TaskCard
from tests.e2e.test_interrupt import wait_for_line
from tests.support.orch import start_orch, write_plan
from tests.support.page import (
    Papers,
    board_page,
    browser,
    need_chromium,
    open_page,
    page_of,
    picture,
    shown_run,
)  # fmt: skip
from tests.support.page_runs import HOSTILE, begun, busy_run, card, landed, papers
from tests.support.repos import make_repo
from tests.support.stories import task, write

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.async_api import Page


pytestmark = [pytest.mark.e2e, pytest.mark.usefixtures("_chromium")]

REFUSED_CONNECTION = "ERR_CONNECTION_REFUSED"


@pytest.fixture
def _chromium() -> None:
    need_chromium()


async def texts(page: Page, selector: str) -> list[str]:
    return await page.locator(selector).all_inner_texts()


async def is_too_wide(page: Page) -> bool:
    found = await page.evaluate("document.documentElement.scrollWidth > innerWidth")
    return bool(found)


def test_a_run_is_watched_answered_and_cancelled_until_it_ends(tmp_path: Path) -> None:
    repo = make_repo(tmp_path / "repo")
    asking = task("a", {"ask": "Which colour?"}, write("a.txt", "<i>new</i>\n"))
    slow = task("b", write("b.txt"), {"report": "I wait"}, {"sleep": "60s"})
    plan = write_plan(tmp_path / "p", [asking, slow, task("c", needs=["a"])])
    process = start_orch("run", "--listen", "127.0.0.1:0", plan, cwd=repo.path)

    async def story() -> None:
        wait_for_line(process.stdout, "a: asks Which colour?")
        (folder,) = (repo.path / ".git/orch").glob("*-test-*")
        board, keys = read_url_file(folder)
        address = f"{board.replace('ws:', 'http:').removesuffix('board')}#token={keys.owner}"
        async with browser() as started, open_page(started, address, expected=REFUSED_CONNECTION) as page:
            await answer(page)
            await read_papers(page)
            await cancel(page)
            await page.wait_for_selector("#link:has-text('The run is over')")
            assert await texts(page, ".pill") == ["partial"]
            assert await texts(page, ".figures > :first-child") == ["landed\n2 of 3"]

    try:
        asyncio.run(story())
    except BaseException:
        process.kill()
        raise
    finally:
        process.communicate(timeout=60)
    assert process.returncode == 1
    assert repo.git("show", "main:a.txt") == "<i>new</i>"


async def answer(page: Page) -> None:
    question = page.locator("[data-question=q1]")
    assert "Which colour?" in await question.inner_text()
    await question.get_by_label("Answer to q1").fill("blue")
    await question.get_by_role("button", name="Answer").click()
    await page.wait_for_selector(".node[data-task=c][data-status=landed]")
    assert not await page.locator("#questions.urgent").is_visible()


async def read_papers(page: Page) -> None:
    await page.click(".node[data-task=a]")
    await page.wait_for_selector(".paper .line:has-text('blue')")
    await page.click("#tab-diff")
    await page.wait_for_selector("[data-shown='diff a']")
    assert await page.locator(".diff .add").all_inner_texts() == ["+<i>new</i>\n"]
    assert not await page.locator("#detail .cancel").is_visible()
    await page.click("#tab-history")
    await page.wait_for_selector("[data-shown='history a'] .line:has-text('landed as')")
    await page.keyboard.press("Escape")
    await page.wait_for_selector("#detail", state="hidden")


async def cancel(page: Page) -> None:
    await page.click(".node[data-task=b]")
    await page.wait_for_selector("#detail .words:has-text('I wait')")
    await page.get_by_role("button", name="Cancel task").click()
    await page.get_by_role("button", name="Yes, cancel it").click()
    await page.wait_for_selector("#detail .bar .c-cancelled")


def test_a_thousand_tasks_are_shown_found_and_followed_by_keyboard() -> None:
    names = [f"t{n:03}" for n in range(1000)]

    async def story() -> None:
        async with board_page(Papers()) as (hub, served), browser() as started:
            cards = [card(name, f"Part {n}", *names[max(n - 10, 0) : max(n - 8, 0)]) for n, name in enumerate(names)]
            shown = shown_run(hub, *cards)
            async with open_page(started, served.address) as page:
                await page.wait_for_selector(".row[data-task=t000][aria-setsize='1000']")
                assert await page.locator(".row").count() < 60
                await find_by_keyboard(page)
                await page.keyboard.press("End")
                last = page.locator(".row[data-task=t999]")
                await last.evaluate("row => { row.before = true; row.previousSibling.before = true }")
                shown.tell(*begun("t999"), *begun("t000"))
                await page.wait_for_selector(".row[data-task=t999] .c-working")
                assert await last.evaluate("row => row.before && row.previousSibling.before"), "rows stay what they are"
                assert await page.locator(".row").count() < 60
                await page.get_by_role("button", name="working 2").click()
                assert await texts(page, ".row .id") == ["t000", "t999"]
                await page.get_by_role("button", name="working 2").click()
                await page.get_by_role("button", name="Graph").click()
                assert "too many tasks for one picture" in await page.inner_text(".graph .note")
                await page.get_by_label("Filter tasks").fill("t500")
                await page.wait_for_selector(".node[data-task=t500]")
                assert 5 <= await page.locator(".node").count() <= 50
                await picture(page, "thousand")

    asyncio.run(story())


async def find_by_keyboard(page: Page) -> None:
    await page.keyboard.press("/")
    await page.keyboard.type("part 50")
    await page.wait_for_selector(".row[data-task=t500][aria-setsize='11']")
    while await page.evaluate("document.activeElement.role") != "listbox":
        await page.keyboard.press("Tab")
    await page.keyboard.press("ArrowDown")
    await page.keyboard.press("Enter")
    await page.wait_for_selector("#detail:has-text('Part 500')")
    assert await page.evaluate("document.activeElement.id") == "detail-title"
    await page.keyboard.press("Escape")
    assert await page.evaluate("document.activeElement.role") == "listbox"
    await page.get_by_label("Filter tasks").fill("")
    await page.focus(".list")


def test_it_looks_right_and_shows_what_agents_wrote_as_text() -> None:
    async def story() -> None:
        async with board_page(papers()) as (hub, served), browser() as started:
            await busy_run(hub)
            for scheme in ("light", "dark"):
                async with open_page(started, served.address, color_scheme=scheme) as page:
                    await page.wait_for_selector(".node[data-task=all][data-status=blocked]")
                    await picture(page, f"desk-{scheme}")
                    if scheme == "light":
                        await look_at_all(page)
                        assert await page.evaluate(GRAPH) == "fine"
                    await page.click(".node[data-task=passwords]")
                    await page.wait_for_selector("[data-shown='transcript passwords'] .line")
                    await picture(page, f"detail-{scheme}")
            phone = {"width": 360, "height": 740}
            async with open_page(started, served.address, viewport=phone, has_touch=True, is_mobile=True) as page:
                await page.wait_for_selector(".row[data-task=all]")
                await picture(page, "phone")
                assert not await is_too_wide(page)
                await page.get_by_role("button", name="Graph").tap()
                assert not await is_too_wide(page)
                await page.tap(".node[data-task=kit]")
                assert await page.evaluate("document.querySelector('main').inert")
                assert not await is_too_wide(page)
                await page.get_by_role("button", name="Close").tap()
                assert not await page.evaluate("document.querySelector('main').inert")

    asyncio.run(story())


async def look_at_all(page: Page) -> None:
    assert await texts(page, "#questions .open .text") == [f"May the last administrator go? {HOSTILE}"]
    assert await texts(page, "#train li .task") == ["sessions", "login", "users"]
    assert [await page.locator(f"#train .{place}").count() for place in ("inside", "outside")] == [2, 1]
    assert await texts(page, "#agents .words") == [f"says {HOSTILE}"]
    assert await page.locator(".node[data-task=passwords] .meter").get_attribute("aria-label") == "1 of 2 TODOs done"
    warnings = await texts(page, "#warnings .text")
    assert warnings[:2] == ["blocked: it needs mail, which failed", "failed: no SMTP server was named"]
    assert any(text.startswith("does not merge with what passwords has written") for text in warnings)
    assert await texts(page, "#health .group:first-child dd") == ["0", "2", "0"]
    await page.focus(".node[data-task=schema]")
    await page.keyboard.press("ArrowRight")
    await page.keyboard.press("Enter")
    assert await page.inner_text("#detail-title") in {"passwords", "roles", "sessions", "mail"}
    await page.keyboard.press("Escape")


GRAPH = """async () => {
    const { layout, NODE } = await import("/assets/graph.js");
    let seed = 7;
    const random = (below) => (seed = (seed * 48271) % 2147483647) % below;
    for (let round = 0; round < 60; round += 1) {
        const tasks = Array.from({ length: 1 + random(40) }, (_, n) => ({
            id: `t${n}`, needs: n ? [...new Set(Array.from({ length: random(4) }, () => `t${random(n)}`))] : ["elsewhere"],
        }));
        const { width, height, places, edges } = layout(tasks);
        for (const { id, needs } of tasks) {
            const { x, y } = places.get(id);
            if (!(x >= 0 && y >= 0 && x + NODE.width <= width && y + NODE.height <= height)) return `${round}: ${id} is outside`;
            for (const need of needs) {
                if (!places.has(need)) continue;
                if (places.get(need).x + NODE.width >= x) return `${round}: ${need} is not left of ${id}`;
                const drawn = edges.filter(({ from, to }) => from === need && to === id);
                if (drawn.length !== 1) return `${round}: no edge from ${need} to ${id}`;
            }
            for (const [other, at] of places) {
                if (other !== id && at.x === x && Math.abs(at.y - y) < NODE.height) return `${round}: ${id} is upon ${other}`;
            }
        }
    }
    return "fine";
}"""


def test_a_lost_connection_is_said_and_comes_back_to_whoever_is_there() -> None:
    async def story() -> None:
        async with browser() as started, AsyncExitStack() as first:
            hub = await first.enter_async_context(open_board(None))
            served = await first.enter_async_context(page_of(hub, Papers()))
            hub.publish_tasks([TaskCard(id="a", title="not yet begun"), TaskCard(id="b")])
            async with open_page(started, served.address, expected=REFUSED_CONNECTION) as page:
                await page.wait_for_selector(".node[data-task=a]:has-text('not yet begun')")
                shown_run(hub, card("a", "from before"), card("b")).tell(*begun("a"))
                await page.wait_for_selector(".node[data-task=a][data-status=working]:has-text('from before')")
                await first.aclose()
                await page.wait_for_selector("#link:has-text('The connection is lost.')")
                assert await page.locator(".node").count() == 2
                async with open_board(None) as other, page_of(other, Papers(), port=served.port, keys=served.keys):
                    shown_run(other, card("a", "from now"), card("c")).tell(*landed("a"))
                    await page.wait_for_selector(".node[data-task=a][data-status=landed]:has-text('from now')")
                    await page.wait_for_selector("#link", state="hidden")
                    assert await texts(page, ".node .id") == ["a", "c"]
                    said = await texts(page, "#log .entry")
                    assert ["starts" in text for text in said].count(True) == 1, "nothing is told twice"

    asyncio.run(story())


PRESENT = """async (token) => {
    const { Doc, WebsocketProvider } = await import("/assets/vendor/yjs.js");
    const peer = new WebsocketProvider(`ws://${location.host}/board`, "ctl", new Doc(), { params: { token }, disableBc: true });
    peer.awareness.setLocalState({ agent: "passwords.gen-1" });
}"""


def test_who_has_which_token_sees_and_does_what_it_allows() -> None:
    async def story() -> None:
        async with board_page(papers()) as (hub, served), browser() as started:
            await busy_run(hub)
            async with open_page(started, served.url) as page:
                assert "needs its token" in await page.inner_text("#link")
                await page.get_by_label("Token").fill("not-the-token-at-all")
                await page.keyboard.press("Enter")
                await page.wait_for_selector("#link:has-text('does not know this token')")
                await page.get_by_label("Token").fill(served.keys.reader())
                await page.keyboard.press("Enter")
                await page.wait_for_selector(".node[data-task=passwords]")
                await page.click(".node[data-task=passwords]")
                await page.wait_for_selector("[data-shown='transcript passwords'] .line")
                for name in ("Pause", "Answer", "Cancel task"):
                    assert not await page.get_by_role("button", name=name).is_visible(), name
                async with open_page(started, served.url) as other:
                    await other.evaluate(PRESENT, served.keys.agent("passwords.gen-1"))
                    await page.wait_for_selector("#agents li:has-text('passwords'):has-text('connected')")
                await page.wait_for_selector("#agents li:has-text('passwords'):not(:has-text('connected'))")
            async with open_page(started, served.address) as page:
                await page.get_by_role("button", name="Pause").click()
                assert served.keys.owner not in page.url
                assert "token" not in page.url

    asyncio.run(story())
