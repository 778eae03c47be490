"""The page on every URL where it is reached, with hostile data, with many jobs."""

from collections.abc import Callable

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from support.browser import MOCKS, NEEDS_CHROMIUM, Site, detail, opened, row, shown
from support.ports import free_port, own_address
from support.process import Proxy
from support.receivers import Receiver, answer

pytestmark = NEEDS_CHROMIUM

# Where the page is reached


def test_it_works_over_tls_and_through_the_proxy(chromium: Browser, site: Site) -> None:
    port = site.proxy.port
    through = {"proxy": {"server": site.proxy.url, "bypass": "<-loopback>"}}
    for url, options in [
        (f"https://127.0.0.1:{port}/_latehook/", {}),
        (f"http://127.0.0.1:{port}/_latehook/", through),
    ]:
        site.post("reset")
        site.order("a-1")
        with opened(chromium, url, ignore_https_errors=True, **options) as page:
            expect(row(page, "a-1")).to_be_visible()
            page.keyboard.press("j")
            page.keyboard.press("f")
            expect(row(page, "a-1")).to_contain_text("delivered · 200")


def test_it_works_in_reverse_mode(chromium: Browser, start: Callable[..., Proxy], sut: Receiver) -> None:
    port = free_port()
    proxy = start("--mode", f"reverse:https://api.slow.example@127.0.0.1:{port}", mocks=MOCKS.format(sut=sut.url))
    proxy.wait_for("listening at")
    httpx.post(f"http://127.0.0.1:{port}/orders", json={"id": "a-1"}, trust_env=False)
    with opened(chromium, f"http://127.0.0.1:{port}/_latehook/") as page:
        page.get_by_label("Duration").fill("1h")
        page.get_by_role("button", name="Advance", exact=True).click()
        expect(row(page, "a-1")).to_contain_text("delivered · 200")


def test_another_machine_must_enter_the_token(chromium: Browser, start: Callable[..., Proxy]) -> None:
    address = own_address()
    if address is None:
        pytest.skip("this machine has no address but loopback")
    port = free_port()
    options = ("--listen-host", "0.0.0.0", "-p", str(port), "--set", "mock_token=s3cret")
    start(*options, mocks=MOCKS.format(sut="http://127.0.0.1:1")).wait_for("listening at")
    with opened(chromium, f"http://{address}:{port}/_latehook/") as page:
        for token in ("other", "s3cret"):
            page.get_by_role("textbox", name="Token").fill(token)
            page.get_by_role("button", name="Send", exact=True).click()
            if token == "other":
                expect(page.locator("#login .note")).to_contain_text("the token is wrong")
        expect(page.get_by_text("No job yet.")).to_be_visible()
        page.get_by_role("button", name="Hold", exact=True).click()
        expect(page.get_by_text("all held")).to_be_visible()
    assert httpx.get(f"http://{address}:{port}/_latehook/status", trust_env=False).status_code == 401


# What the page must survive


def test_while_the_proxy_is_gone_the_page_says_so_and_counts_no_time(
    chromium: Browser, start: Callable[..., Proxy], sut: Receiver
) -> None:
    proxy = start(mocks=MOCKS.format(sut=sut.url))
    Site(proxy, sut).order("a-1")
    with chromium.new_context() as context:
        page = context.new_page()
        page.goto(f"{proxy.url}/_latehook/")
        expect(row(page, "a-1")).to_contain_text("in 59:")
        proxy.stop()
        expect(page.locator("#wrong")).to_contain_text("Latehook does not answer since")
        assert page.evaluate(
            "new Promise(done => { const then = since(); setTimeout(() => done(since() === then), 20); })"
        )


def test_new_data_keeps_elements_focus_and_input(page: Page, site: Site) -> None:
    site.order("a-1")
    pane = detail(page, "a-1")
    pane.locator("summary", has_text="Body").first.click()
    with page.expect_response(lambda response: "event=order.done" in response.url):  # the filter counts from then on
        page.get_by_label("event", exact=True).fill("order.done")
    page.evaluate("window.held = document.querySelector('#list > li'); window.pane = document.querySelector('article')")

    for number in range(2, 6):
        site.order(f"a-{number}")
    site.post("clock", advance="1h")

    expect(row(page, "a-5")).to_contain_text("delivered")
    expect(row(page, "a-1")).to_contain_text("delivered")
    assert page.evaluate("window.held === document.querySelector('#list > li:last-child')")
    assert page.evaluate("window.pane === document.querySelector('article')")
    expect(page.get_by_label("event", exact=True)).to_be_focused()
    expect(page.get_by_label("event", exact=True)).to_have_value("order.done")
    expect(pane.locator("section", has_text="Request").locator("details[open]")).to_have_count(1)
    expect(page.locator("[aria-current=true]")).to_contain_text("a-1")


def test_data_from_outside_is_shown_as_text(page: Page, site: Site) -> None:
    hostile = "<img src=x onerror=window.hit=1><script>window.hit=1</script>"
    site.sut.behave = answer(500, hostile.encode())
    site.order(hostile, note=hostile)
    site.post("clock", advance="1h")
    site.client.put(f"http://api.slow.example/{hostile}")
    pane = detail(page, hostile)
    expect(pane.locator(".card")).to_contain_text("failed · 500")
    for summary in pane.locator("summary").all():
        summary.click()
    expect(pane.locator("pre", has_text=hostile).first).to_be_visible()
    page.keyboard.press("3")
    expect(page.locator("#list > li")).to_have_count(1)

    assert page.evaluate("[window.hit ?? null, document.images.length]") == [None, 0]
    policy = site.http.get("").headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy


def test_more_than_a_thousand_jobs(page: Page, site: Site) -> None:
    site.order_many(1200)
    expect(row(page, "n-1199")).to_be_visible()
    expect(page.get_by_role("button", name="Jobs 1,200")).to_be_visible()
    assert len(shown(page)) == 50
    assert page.locator("*").count() < 2000

    page.get_by_role("button", name="Older").click()
    expect(row(page, "n-1149")).to_be_visible()
    page.keyboard.press("[")
    expect(row(page, "n-1199")).to_be_visible()
    site.order("one more")
    expect(row(page, "one more")).to_be_visible()
    page.get_by_label("where", exact=True).fill("job.id == 'n-7'")
    expect(row(page, "n-7")).to_be_visible()
    assert shown(page) == ["n-7"]
