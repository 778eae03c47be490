"""The page for everybody: each of its states on a desktop and a phone, in light and dark, by keyboard and screen reader."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from support.browser import NEEDS_CHROMIUM, Site, detail, opened, row, too_wide, violations
from support.receivers import answer

pytestmark = NEEDS_CHROMIUM

LONG = "a-job-whose-id-is-too-long-for-its-column-and-has-no-place-to-break-0123456789"


def order_one_of_each_state(site: Site) -> None:
    site.sut.behave = answer(500)
    site.order(LONG)
    site.order("failing", "letters")
    site.post("clock", advance="3h")
    site.sut.behave = answer()
    for job in ("delivered", "held", "canceled", "pending"):
        site.order(job)
    site.post("clock", advance="1h", job="delivered")
    site.post("hold", job="held")
    site.post("cancel", job="canceled")
    site.client.put(f"http://api.slow.example/{'long' * 60}", json={"callback_url": site.sut.url})


@pytest.fixture(params=[("light", 320), ("dark", 1280)], ids=["phone, light", "desktop, dark"])
def view(request: pytest.FixtureRequest, chromium: Browser, site: Site) -> Iterator[Page]:
    scheme, width = request.param
    options: dict[str, Any] = {"viewport": {"width": width, "height": 800}, "color_scheme": scheme}
    with opened(chromium, site.url, reduced_motion="reduce", **options) as page:
        yield page


@pytest.mark.slow
def test_each_state_of_the_page_can_be_read_and_used_by_everybody(view: Page, site: Site) -> None:
    @contextmanager
    def checked(what: str) -> Iterator[None]:
        yield
        assert (what, too_wide(view), violations(view)) == (what, [], [])

    with checked("empty"):
        expect(view.get_by_role("heading", name="Mocks in use")).to_be_visible()
        expect(view.get_by_role("region", name="Mocks in use")).to_contain_text("POST api.slow.example/letters")
    with checked("jobs"):
        order_one_of_each_state(site)
        expect(view.locator("#list > li")).to_have_count(6)
    with checked("a job"):
        pane = detail(view, LONG)
        for summary in pane.locator("summary").all():
            summary.click()
    view.keyboard.press("Escape")
    with checked("unmatched"):
        view.keyboard.press("3")
        view.get_by_text("A mock that would take it").click()
        expect(view.get_by_role("button", name="Copy")).to_be_visible()
    with checked("variables, an error of the filter"):
        view.get_by_role("button", name="Variables").click()
        view.keyboard.press("/")
        view.get_by_label("where", exact=True).fill("requst.json")
        expect(view.locator("#filter .note")).to_contain_text("did you mean")
    view.get_by_label("where", exact=True).press("Escape")
    with checked("help"):
        view.keyboard.press("?")
        expect(view.get_by_role("dialog", name="Keys")).to_be_visible()
    view.keyboard.press("Escape")
    view.keyboard.press("1")
    with checked("a question"):
        view.get_by_role("button", name="Reset", exact=True).click()
        expect(view.get_by_role("dialog", name="Forget those that the filter selects?")).to_be_visible()


def test_a_row_names_what_a_screen_reader_has_to_say(page: Page, site: Site) -> None:
    site.order("a-1")
    site.post("clock", advance="1h")
    expect(row(page, "a-1")).to_contain_text("delivered")

    name = row(page, "a-1").get_by_role("button").aria_snapshot()

    assert "orders a-1" in name
    assert "request +0 ms; processing +1:00; completed +1:00:00; order.done, attempt 1: 200 +1:00:00" in name
    assert "webhook: delivered · 200 job: completed" in name


def test_a_job_is_opened_and_left_by_keyboard(page: Page, site: Site) -> None:
    site.order("a-1")
    site.order("a-2")
    expect(page.locator("#list > li")).to_have_count(2)
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="a-2")).to_be_visible()
    expect(row(page, "a-2").get_by_role("button")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="a-2")).to_be_focused()
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Close")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#detail")).to_be_hidden()
    expect(row(page, "a-2").get_by_role("button")).to_be_focused()


def test_on_a_phone_nothing_behind_the_job_is_reached(chromium: Browser, site: Site) -> None:
    site.order("a-1")
    with opened(chromium, site.url, viewport={"width": 400, "height": 700}) as page:
        row(page, "a-1").get_by_role("button").click()
        expect(page.get_by_role("heading", name="a-1")).to_be_focused()
        reached = set()
        for _ in range(30):
            page.keyboard.press("Tab")
            reached.add(page.evaluate("document.activeElement.closest('header, nav, form, main, #detail')?.tagName"))
        assert reached <= {"ASIDE", None}
        page.keyboard.press("Escape")
        page.get_by_role("button", name="Filter").click()
        expect(page.get_by_label("job", exact=True)).to_be_visible()
