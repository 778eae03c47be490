"""The page in a real Chromium."""

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from typing import Any

import httpx
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Locator, Page, expect

from support.limits import LIMIT
from support.ports import own_address
from support.process import Proxy
from support.receivers import Receiver

CHROMIUM = shutil.which("chromium-headless-shell") or shutil.which("chromium")
"""The browser. Debian's shell without windows is the same Chromium, and takes a third of the processor time."""

FLAGS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--in-process-gpu", "--renderer-process-limit=1"),  # fewer processes to start
    # Chromium resolves no name; `evil.test`, another site, is this machine
    f"--host-resolver-rules=MAP evil.test 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE {own_address()}",
]
NEEDS_CHROMIUM = [
    pytest.mark.browser,
    pytest.mark.skipif(
        CHROMIUM is None and "CI" not in os.environ,
        reason="neither `chromium-headless-shell` nor `chromium` is on the PATH: install Debian's package of such a name",
    ),
]
"""The marks of tests of the page."""

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
    webhook: {{after: 2h, event: letter.done, to: "{sut}/{{{{ request.json.id }}}}", text: sent, retry: [10s, 20s], redirects: 1}}
"""


class Site:
    """The proxy whose page is tested, the receiver of its webhooks, and clients for the control API and for the SUT."""

    def __init__(self, proxy: Proxy, sut: Receiver) -> None:
        self.url = f"{proxy.url}/_latehook/"
        self.proxy = proxy
        self.sut = sut
        self.http = httpx.Client(base_url=self.url, timeout=LIMIT, trust_env=False)
        self.client = httpx.Client(proxy=proxy.url, timeout=LIMIT, trust_env=False)

    def order(self, id: str, what: str = "orders", **more: Any) -> httpx.Response:
        """Send the SUT's request that starts the job with this id; `what` is orders or letters."""
        return self.client.post(f"http://api.slow.example/{what}", json={"id": id, **more})

    def order_many(self, count: int) -> None:
        """Start jobs with a client that is faster than httpx."""
        connection = HTTPConnection("127.0.0.1", self.proxy.port, timeout=LIMIT)
        with closing(connection):
            for number in range(count):
                connection.request("POST", "http://api.slow.example/orders", f'{{"id": "n-{number}"}}')
                connection.getresponse().read()

    def post(self, path: str, **body: Any) -> Any:
        """POST to the control API."""
        return self.http.post(path, json=body).raise_for_status().json()

    def state(self, job: str) -> str:
        """Return the state of the only webhook of a job."""
        [webhook] = self.http.get("webhooks", params={"job": job}).json()["items"]
        return str(webhook["state"])


@contextmanager
def opened(browser: Browser, url: str, **options: Any) -> Iterator[Page]:
    """Open the page at a URL. It must send requests only to its own origin, and write no error or warning to the console."""
    with browser.new_context(**{"viewport": {"width": 1280, "height": 800}, **options}) as context:
        context.set_default_timeout(LIMIT * 1000)
        page = context.new_page()
        requested: list[str] = []
        messages: list[str] = []
        page.on("request", lambda request: requested.append(request.url))
        page.on(
            "console", lambda message: messages.append(message.text) if message.type in ("error", "warning") else None
        )
        page.on("pageerror", lambda error: messages.append(str(error)))
        page.goto(url)
        yield page
        origin = re.match("https?://[^/]+/", url)
        assert origin is not None
        assert [each for each in requested if not each.startswith((origin[0], "data:"))] == []
        # Chromium writes this line when the API refuses an operation; the page shows the reason
        assert [line for line in messages if "the server responded with a status of" not in line] == []


def row(page: Page, job: str) -> Locator:
    """Return the row of a job in the list."""
    return page.locator("#list > li", has=page.get_by_text(job, exact=True))


def detail(page: Page, job: str) -> Locator:
    """Select a job; return the pane with its details."""
    row(page, job).get_by_role("button").click()
    pane = page.get_by_role("complementary", name="The selected job")
    expect(pane.get_by_role("heading", name=job, exact=True)).to_be_visible()
    return pane


def shown(page: Page) -> list[str]:
    """Return the ids of the jobs in the list."""
    return page.locator("#list [data-part=id]").all_inner_texts()


def too_wide(page: Page) -> list[str]:
    """Return the elements that scroll sideways."""
    found: list[str] = page.evaluate(
        "[...document.querySelectorAll('html, #listing, #detail')].filter(node => node.scrollWidth > node.clientWidth).map(node => node.tagName)"
    )
    return found


def violations(page: Page) -> list[Any]:
    """Return what axe finds wrong for users of a keyboard, a screen reader or weak eyes: WCAG 2.2 AA, best practice."""
    found = Axe().run(page).response["violations"]
    return [(rule["id"], [(node["target"], node["failureSummary"]) for node in rule["nodes"]]) for rule in found]
