"""The page, in a real Chromium, of a real process: what a person sees and does there."""

import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright

from harness import LIMIT, Proxy, Receiver, answer, mitmdump, receiver

CHROMIUM = shutil.which("chromium")
FLAGS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",  # no other name is ever looked up
]
pytestmark = pytest.mark.skipif(
    CHROMIUM is None and "CI" not in os.environ,
    reason="there is no `chromium` on the PATH: install Debian's package of this name",
)
expect.set_options(timeout=LIMIT * 1000)

MOCKS = """
vars: {{verdict: good, tries: 3}}
mocks:
  - name: orders
    match: POST api.slow.example/orders
    job: {{id: "{{{{ request.json.id }}}}", vars: {{kind: order}}}}
    response: {{status: 201, json: {{id: "{{{{ job.id }}}}"}}}}
    stages:
      - {{after: 1m, status: processing}}
      - {{after: 1h, status: completed, webhook: true}}
    webhook: {{event: order.done, to: "{sut}/{{{{ request.json.id }}}}", json: {{verdict: "{{{{ vars.verdict }}}}"}}, retry: none}}
  - name: letters
    match: POST api.slow.example/letters
    job: {{id: "{{{{ request.json.id }}}}"}}
    webhook: {{after: 2h, event: letter.done, to: "{sut}/{{{{ request.json.id }}}}", text: sent, retry: [10s, 20s]}}
"""


class World:
    """A process, its SUT, and what the SUT sends."""

    def __init__(self, proxy: Proxy, sut: Receiver) -> None:
        self.url = f"{proxy.url}/_latehook/"
        self.proxy = proxy
        self.sut = sut
        self.http = httpx.Client(base_url=self.url, timeout=LIMIT, trust_env=False)
        self.through = httpx.Client(proxy=proxy.url, timeout=LIMIT, trust_env=False)

    def order(self, id: str, what: str = "orders", **more: Any) -> httpx.Response:
        return self.through.post(f"http://api.slow.example/{what}", json={"id": id, **more})

    def post(self, path: str, **body: Any) -> Any:
        return self.http.post(path, json=body).raise_for_status().json()

    def state(self, job: str) -> str:
        [webhook] = self.http.get("webhooks", params={"job": job}).json()["items"]
        return str(webhook["state"])


@pytest.fixture(scope="module")
def running(confdir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    file = tmp_path_factory.mktemp("page") / "mocks.yaml"
    with receiver() as sut:
        file.write_text(MOCKS.format(sut=sut.url))
        with mitmdump(confdir, "--set", f"mock_file={file}") as proxy:
            yield World(proxy, sut)


@pytest.fixture
def world(running: World) -> World:
    running.post("reset")
    running.sut.requests.clear()
    running.sut.behave = answer()
    return running


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    assert CHROMIUM is not None, "in CI the page is always tested: install Debian's `chromium`"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@contextmanager
def opened(browser: Browser, url: str, **options: Any) -> Iterator[Page]:
    """The page at a URL. It asks nobody but its own origin, and nothing of it is an error that only the console has."""
    with browser.new_context(**{"viewport": {"width": 1280, "height": 800}, **options}) as context:
        page = context.new_page()
        asked: list[str] = []
        said: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: said.append(message.text) if message.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: said.append(str(error)))
        page.goto(url)
        yield page
        here = re.match("https?://[^/]+/", url)
        assert here is not None
        assert [each for each in asked if not each.startswith((here[0], "data:"))] == []
        # an operation that the API refuses is an error in words on the page, and a line of Chromium's own
        assert [line for line in said if "the server responded with a status of" not in line] == []


@pytest.fixture
def page(chromium: Browser, world: World) -> Iterator[Page]:
    with opened(chromium, world.url) as page:
        yield page


def row(page: Page, job: str) -> Locator:
    return page.locator("#list > li", has=page.get_by_text(job, exact=True))


def test_a_job_appears_and_is_seen_to_be_delivered(page: Page, world: World) -> None:
    expect(page.get_by_text("No job yet.")).to_be_visible()
    world.order("a-1")
    expect(row(page, "a-1")).to_contain_text(re.compile(r"in (59:\d\d|1:00:00)"))

    page.get_by_label("Duration").fill("1h")
    page.get_by_role("button", name="Advance", exact=True).click()

    expect(row(page, "a-1")).to_contain_text("delivered · 200")
    expect(page.get_by_text("advanced by 1h", exact=True).first).to_be_visible()
    assert json.loads(world.sut.requests[0].body) == {"verdict": "good"}
