"""Every page, by eye, by keyboard and by script, light and dark, in Airflow's frame and by itself, wide and narrow."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Frame, Page, expect

from dev import browser as installed
from tests.integration.pages.faces import PATH
from tests.integration.pages.staging import Staging

PAGES = {
    "freshness": PATH,
    "freshness of nothing": f"{PATH}?q=nothing",
    "freshness of a long name": f"{PATH}?q={'x' * 3000}",
    "runs": "/sluiceway/runs",
    "run": "/sluiceway/runs/master_etl/{run}",
    "table": "/sluiceway/tables/t02",
    "no such table": "/sluiceway/tables/t00",
    "comparison": "/sluiceway/runs/compare?a=master_etl/{before}&b=master_etl/{run}",
    "refused": "/sluiceway/runs/master_etl/no_such_run",
    "nowhere": f"/sluicewaytables/{'x' * 3000}",
}
"""By name. A new page is a line here; `{run}` is a red run's id, `{before}` that of a green one before it."""
CONTROLS = 'a[href], button, input:not([type=hidden]), select, [tabindex="0"]'
FOCUSED = """() => {
    const control = document.activeElement, box = control.getBoundingClientRect();
    control.dataset.place ??= Math.random();
    const isInSight = box.width > 0 && box.right > 0 && box.bottom > 0 && box.top < innerHeight;
    return [control.dataset.place, getComputedStyle(control).outlineStyle, isInSight];
}"""
"""Which control has the focus, how that is shown, and whether it is in sight."""
WIDTHS = (360, 700, 1024, 2560)


@pytest.fixture(scope="module")
def before(running: Staging) -> str:
    """The commit that all the data belongs to, before anything happens to it."""
    running.restore()
    return running.in_step()


@pytest.fixture(scope="module")
def stale(running: Staging, before: str) -> Iterator[str]:
    """All that a page can show at once: a red run, its error, a run that waits, a sensor that fails, dead letters."""
    running.source("t02", "id,value\n")
    commit = running.deploy(f"looked at after {len(running.runs())} runs")
    assert running.wait(running.enqueue(commit)) == "failed"
    with running.in_trouble(), running.stopped("scheduler"):
        run_id = running.trigger()
        yield commit
        running.forget(run_id)
    running.restore()


@pytest.fixture(params=list(PAGES))
def address(request: pytest.FixtureRequest, running: Staging, stale: str, before: str) -> str:
    return running.stack.url + PAGES[request.param].format(run=f"deploy__{stale}", before=f"deploy__{before}")


def test_axe_finds_nothing_wrong(tab: Page, address: str) -> None:
    tab.goto(address)
    schemes: tuple[Any, ...] = ("light", "dark")
    for scheme in schemes:
        tab.emulate_media(color_scheme=scheme)
        assert wrong(tab) == [], scheme


def test_axe_would_find_something(tab: Page, running: Staging) -> None:
    tab.goto(running.stack.url + PATH)
    tab.evaluate("document.querySelector('label').remove()")
    assert [rule for rule, _ in wrong(tab)] == ["label"]


def wrong(tab: Page | Frame) -> list[list[str]]:
    """The rules that axe says are broken, each with the first place."""
    tab.evaluate(installed.axe())
    violations: list[list[str]] = tab.evaluate(
        "axe.run().then(found => found.violations.map(each => [each.id, each.nodes[0].html]))"
    )
    return violations


def test_nothing_overflows(tab: Page, address: str) -> None:
    tab.goto(address)
    for width in WIDTHS:
        tab.set_viewport_size({"width": width, "height": 800})
        assert tab.evaluate("document.documentElement.scrollWidth") <= width, overflowing(tab)
        assert overflowing(tab) == [], width


def overflowing(tab: Page) -> list[str]:
    """What stands out of the window, and is not in a box that scrolls."""
    names: list[str] = tab.evaluate(
        "() => [...document.querySelectorAll('main *')].filter(e => !e.closest('.scroll, .sprite, thead') && "
        "e.getBoundingClientRect().right > innerWidth + 1).map(e => e.outerHTML.slice(0, 80))"
    )
    return names


def test_every_control_is_reached_and_seen_by_keyboard(tab: Page, address: str) -> None:
    tab.goto(address)
    controls = tab.evaluate(f"document.querySelectorAll('{CONTROLS}').length")
    reached = set()
    for place in range(controls):
        tab.keyboard.press("Tab")
        name, outline, is_in_sight = tab.evaluate(FOCUSED)
        reached.add(name)
        assert outline != "none" and is_in_sight, f"control {place}"
    assert len(reached) == controls


def test_states_names_and_orders_are_asked_for_without_a_mouse_and_without_scripts(
    browser: Browser, reader: BrowserContext, running: Staging, stale: str
) -> None:
    context = browser.new_context(java_script_enabled=False)
    context.add_cookies(reader.cookies())
    tab = context.new_page()
    tab.goto(running.stack.url + PATH)
    tables = tab.locator("table.tables tbody th")
    # the worst first; which of the two that promise nothing was loaded first, nobody knows
    assert sorted(tables.all_inner_texts()[:2]) == ["t01", "t02"]
    assert tables.all_inner_texts()[2:] == ["t03"]
    expect(tab.locator("time").first).to_contain_text(" UTC")
    tab.get_by_role("link", name="Rejects").press("Enter")
    tab.get_by_role("link", name="fresh 1").press("Enter")
    expect(tables).to_have_text(["t03"])
    assert "sort=rejects" in tab.url and "state=fresh" in tab.url
    tab.get_by_role("searchbox").fill("02")
    tab.keyboard.press("Enter")
    expect(tab.get_by_text("No table is so and has “02” in its name")).to_be_visible()
    assert "sort=rejects" in tab.url and "state=fresh" in tab.url
    tab.get_by_role("link", name="All tables").press("Enter")
    expect(tables).to_have_count(3)
    context.close()


def test_what_does_not_exist_is_refused_in_a_sentence(tab: Page, running: Staging) -> None:
    answer = tab.request.get(f"{running.stack.url}{PATH}?state=stall", headers={"Accept": "text/html"})
    assert answer.status == 400
    assert "There is no state &#39;stall&#39;; did you mean stale?" in answer.text()


def test_times_are_the_readers_with_utc_beside(tab: Page, running: Staging, stale: str) -> None:
    tab.goto(running.stack.url + PATH)
    time = tab.locator("[data-computed] time")
    utc = (time.get_attribute("datetime") or "").replace("T", " ")
    here, beside = time.locator("span").all_inner_texts()
    assert beside in {f"({utc[11:16]} UTC)", f"({utc[:16]} UTC)"}
    # Kathmandu is 5:45 ahead
    ahead = (int(here[11:13]) * 60 + int(here[14:16]) - int(utc[11:13]) * 60 - int(utc[14:16])) % (24 * 60)
    assert ahead == 5 * 60 + 45


@pytest.fixture
def frame(tab: Page, running: Staging) -> Frame:
    """The page in Airflow, opened by its menu."""
    tab.goto(running.stack.url)
    tab.get_by_role("link", name="Freshness").click()
    element = tab.locator("iframe[title=Freshness]").element_handle()
    assert element is not None
    opened = element.content_frame()
    assert opened is not None
    expect(opened.locator("h1")).to_be_visible()
    return opened


def test_in_airflows_frame_it_is_light_or_dark_as_airflows_own_switch_says(tab: Page, frame: Frame) -> None:
    for scheme in ("dark", "light", "dark"):
        # what the switch in the user's menu does
        tab.evaluate("(to) => window.dispatchEvent(new StorageEvent('storage', {key: 'theme', newValue: to}))", scheme)
        expect(tab.locator("html")).to_have_class(re.compile(scheme))
        expect(frame.locator("html")).to_have_class(re.compile(scheme))
        assert frame.evaluate("getComputedStyle(document.documentElement).colorScheme") == scheme
        assert wrong(frame) == []


def test_a_link_into_airflow_leaves_the_frame_and_one_of_the_pages_stays_in_it(
    tab: Page, frame: Frame, stale: str
) -> None:
    frame.get_by_role("link", name=f"master_etl/deploy__{stale[:7]}").first.click()
    expect(frame.get_by_role("heading", level=1)).to_have_text("Red: t02")
    frame.evaluate("history.back()")
    expect(frame.get_by_role("heading", level=1)).to_have_text("Stale")
    frame.get_by_role("link", name="log").first.click()
    tab.wait_for_url("**/dags/master_etl/runs/**")
    expect(tab.locator("iframe[title=Freshness]")).to_have_count(0)
