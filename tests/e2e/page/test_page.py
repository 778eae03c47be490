"""The page, in a real Chromium, of a real process: what a person sees and does there."""

import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright

from support.limits import LIMIT
from support.ports import free_port, own_address
from support.process import Proxy, mitmdump
from support.receivers import Receiver, answer, receiver

CHROMIUM = shutil.which("chromium")
FLAGS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    f"--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE {own_address()}",  # no name is ever looked up
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

    def order_many(self, count: int) -> None:
        """By a client that is faster than httpx."""
        connection = HTTPConnection("127.0.0.1", self.proxy.port, timeout=LIMIT)
        with closing(connection):
            for number in range(count):
                connection.request("POST", "http://api.slow.example/orders", f'{{"id": "n-{number}"}}')
                connection.getresponse().read()

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


def detail(page: Page, job: str) -> Locator:
    """The pane with this job, opened."""
    row(page, job).get_by_role("button").click()
    pane = page.get_by_role("complementary", name="The selected job")
    expect(pane.get_by_role("heading", name=job, exact=True)).to_be_visible()
    return pane


def shown(page: Page) -> list[str]:
    """The ids of the jobs in the list."""
    return page.locator("#list [data-part=id]").all_inner_texts()


# What is seen


def test_a_job_appears_and_is_seen_to_be_delivered(page: Page, world: World) -> None:
    expect(page.get_by_text("No job yet.")).to_be_visible()
    world.order("a-1")
    expect(row(page, "a-1")).to_contain_text(re.compile(r"in (59:\d\d|1:00:00)"))

    page.get_by_label("Duration").fill("1h")
    page.get_by_role("button", name="Advance", exact=True).click()

    expect(row(page, "a-1")).to_contain_text("delivered · 200")
    expect(page.locator(".bar .note")).to_have_text("advanced by 1h")
    expect(page.locator("#said")).to_have_text("advanced by 1h")
    assert json.loads(world.sut.requests[0].body) == {"verdict": "good"}


def test_a_countdown_goes_on_and_a_stage_is_reached_without_any_change(page: Page, world: World) -> None:
    world.order("a-1")
    world.post("clock", advance="57s")
    expect(row(page, "a-1")).to_contain_text("pending")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    before = row(page, "a-1").locator("[data-part=next]").inner_text()

    expect(row(page, "a-1").locator("[data-part=next]")).not_to_have_text(before)
    expect(row(page, "a-1")).to_contain_text("processing")
    assert len(asked) < 10  # nothing is fetched to count


def test_a_line_of_time_has_a_mark_for_all_that_happened(page: Page, world: World) -> None:
    world.sut.behave = answer(503)
    world.order("a-1", "letters")
    world.post("clock", advance="2h")
    line = row(page, "a-1").get_by_role("button").locator(".line")

    expect(line.locator("i.failed")).to_have_count(1)
    expect(line.locator("i.pending")).to_have_count(1)
    world.sut.behave = answer()
    world.post("clock", advance="10s")
    expect(line.locator("i.delivered")).to_have_count(1)
    marks = line.locator("i").evaluate_all("marks => marks.map(mark => [mark.className, mark.title])")
    assert [(kind, re.sub(r" \+.*", "", title)) for kind, title in marks] == [
        ("request", "request"),
        ("stage reached", "completed"),
        ("failed", "letter.done, attempt 1: 503"),
        ("delivered", "letter.done, attempt 2: 200"),
    ]


def test_the_detail_has_what_was_sent_and_each_answer(page: Page, world: World) -> None:
    world.sut.behave = answer(503, b"try later")
    world.order("a-1", note="to be read")
    world.post("clock", advance="1h")
    pane = detail(page, "a-1")
    card = pane.locator(".card")

    expect(card).to_contain_text("failed · 503")
    expect(card).to_contain_text(f"POST {world.sut.url}/a-1")
    for summary in pane.locator("summary").all():
        summary.click()
    expect(card.locator("pre")).to_have_text(['{"verdict":"good"}', "try later"])
    expect(pane.locator("section", has_text="Request")).to_contain_text('"note":"to be read"')
    expect(pane.locator("section", has_text="Request")).to_contain_text("application/json")
    expect(pane.locator("section", has_text="Response")).to_contain_text("Status 201")
    expect(pane.locator("section", has_text="Vars of the job")).to_contain_text('"order"')


def test_a_request_that_matched_nothing_says_why(page: Page, world: World) -> None:
    world.order("a-1")
    world.through.put("http://api.slow.example/letters")
    expect(page.get_by_role("button", name="Unmatched 1")).to_be_visible()
    page.get_by_role("button", name="Unmatched").click()

    request = page.locator("#list > li")
    expect(request).to_have_count(1)
    expect(request).to_contain_text("PUT http://api.slow.example/letters")
    expect(request).to_contain_text("501")
    expect(request.locator(".why li").first).to_contain_text("method is PUT, not POST letters")
    expect(request.locator(".why li").first).to_contain_text("mocks.yaml:12")
    page.keyboard.press("2")
    expect(page.locator("#list > li")).to_have_count(2)
    page.locator("#list > li", has_text="orders").get_by_role("button").first.click()
    expect(page.get_by_role("heading", name="a-1")).to_be_hidden()  # what matched nothing has no job


def test_the_filter_says_what_is_listed(page: Page, world: World) -> None:
    world.order("a-1", size=1)
    world.order("a-2", size=2)
    world.order("b-1", "letters")
    world.post("hold", job="a-2")
    expect(page.locator("#list > li")).to_have_count(3)
    for name, value, left in [
        ("job", "a-1", ["a-1"]),
        ("mock", "letters", ["b-1"]),
        ("event", "order.done", ["a-2", "a-1"]),
        ("where", "request.json.size == 2", ["a-2"]),
    ]:
        page.get_by_label(name, exact=True).fill(value)
        expect(page.locator("#list [data-part=id]")).to_have_text(left)
        page.get_by_label(name, exact=True).fill("")
    page.get_by_role("combobox", name="state", exact=True).select_option("held")
    expect(page.locator("#list > li")).to_have_count(1)
    page.reload()  # the address has the filter
    expect(page.locator("#list > li")).to_have_count(1)
    expect(row(page, "a-2")).to_contain_text("held")

    page.get_by_label("where", exact=True).fill("requst.json")
    expect(page.locator("#filter .note")).to_have_text("where: there is no 'requst' here; did you mean 'request'?")
    page.get_by_label("where", exact=True).fill("")
    expect(page.locator("#filter .note")).to_have_text("")


# What is done


def test_the_buttons_of_a_webhook(page: Page, world: World) -> None:
    world.order("a-1")
    card = detail(page, "a-1").locator(".card")

    card.get_by_role("button", name="Hold").click()
    expect(card.locator(".first")).to_contain_text("held")
    card.get_by_role("button", name="Release").click()
    expect(card.locator(".first")).to_contain_text("in ")
    card.get_by_role("button", name="Cancel").click()
    expect(card.locator(".first")).to_contain_text("canceled")
    card.get_by_role("button", name="Resend").click()
    expect(card.locator(".first")).to_contain_text("delivered · 200")
    card.get_by_role("button", name="Fire").click(force=True)  # it looks disabled, and says why when it is pressed
    expect(card.locator(".note")).to_contain_text("is delivered: this needs one that is")
    expect(page.locator("#said")).to_contain_text("is delivered: this needs one that is")
    assert len(world.sut.requests) == 1


def test_the_keys(page: Page, world: World) -> None:
    for job in ("a-1", "a-2", "a-3"):
        world.order(job)
    expect(page.locator("#list > li")).to_have_count(3)

    def press(*keys: str) -> None:
        for key in keys:
            page.keyboard.press(key)

    press("j", "j", "f")
    expect(row(page, "a-2")).to_contain_text("delivered · 200")
    press("ArrowDown", "h")
    expect(row(page, "a-1")).to_contain_text("held")
    press("h")
    expect(row(page, "a-1")).to_contain_text("in ")
    press("c")
    expect(row(page, "a-1")).to_contain_text("canceled")
    press("k", "r")
    expect(page.locator("#said")).to_have_text("order.done sent again")
    press("k", "Enter")
    expect(page.get_by_role("heading", name="a-3")).to_be_visible()
    press("j")
    expect(page.get_by_role("heading", name="a-2")).to_be_visible()
    press("Escape")
    expect(page.locator("#detail")).to_be_hidden()
    press("/", "c", "r")  # in a field they are letters
    expect(page.get_by_label("job", exact=True)).to_have_value("cr")
    press("Escape", "?")
    expect(page.get_by_role("dialog", name="Keys")).to_be_visible()
    press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()
    press("3")
    expect(page.get_by_role("button", name="Unmatched")).to_have_attribute("aria-pressed", "true")
    assert [request.path for request in world.sut.requests] == ["/a-2", "/a-2"]
    assert [world.state(job) for job in ("a-1", "a-2", "a-3")] == ["canceled", "delivered", "pending"]


def test_the_operations_on_all_that_the_filter_lets_through(page: Page, world: World) -> None:
    world.order("a-1")
    world.order("b-1", "letters")
    said = page.locator(".views .note")
    expect(page.locator("#list > li")).to_have_count(2)
    page.get_by_role("button", name="Hold", exact=True).click()
    expect(said).to_have_text("2 webhooks held")
    expect(page.get_by_text("all held")).to_be_visible()
    page.get_by_role("button", name="Release", exact=True).click()
    expect(page.get_by_text("all held")).to_be_hidden()

    page.get_by_label("mock", exact=True).fill("letters")
    page.get_by_role("button", name="Cancel", exact=True).click()
    expect(page.get_by_role("dialog")).to_contain_text("Cancel what is owed of those that the filter selects?")
    page.get_by_role("button", name="No").click()
    assert world.state("b-1") == "pending"
    page.get_by_role("button", name="Cancel", exact=True).click()
    page.get_by_role("button", name="Yes").click()
    expect(said).to_have_text("1 webhook canceled")
    page.get_by_role("button", name="Resend", exact=True).click()
    page.get_by_role("button", name="Yes").click()
    expect(row(page, "b-1")).to_contain_text("delivered · 200")
    page.get_by_role("button", name="Reset", exact=True).click()
    page.get_by_role("button", name="Yes").click()
    expect(said).to_have_text("1 job forgotten")
    page.get_by_label("mock", exact=True).fill("")
    expect(row(page, "a-1")).to_be_visible()
    assert shown(page) == ["a-1"]


def test_time_and_variables_are_set(page: Page, world: World) -> None:
    world.order("a-1")
    world.order("a-2")
    page.get_by_label("Duration").fill("1h")
    detail(page, "a-2").get_by_role("button", name="Advance it by 1h").click()
    expect(row(page, "a-2")).to_contain_text("delivered · 200")
    assert world.state("a-1") == "pending"

    page.get_by_label("Speed").fill("60")
    page.get_by_role("button", name="Set speed").click()
    expect(page.locator("#clock")).to_contain_text("60")
    page.get_by_label("Duration").fill("soon")
    page.get_by_role("button", name="Advance", exact=True).click()
    expect(page.locator(".bar .note")).to_contain_text("'soon' is not a duration")

    page.get_by_role("button", name="Variables").click()
    for variable, value in {"verdict": "bad", "tries": "[1, 2]"}.items():
        page.get_by_label(variable).fill(value)
        page.get_by_label(variable).press("Enter")
        expect(page.locator("#variables .note")).to_have_text(f"{variable} is {value}")
    assert world.http.get("vars").json() == {"verdict": "bad", "tries": [1, 2]}


# Where it is reached


def test_it_works_over_tls_and_through_the_proxy(chromium: Browser, world: World) -> None:
    port = world.proxy.port
    through = {"proxy": {"server": world.proxy.url}}
    for url, options in [
        (f"https://127.0.0.1:{port}/_latehook/", {}),
        ("http://api.slow.example/_latehook/", through),
        ("https://api.slow.example/_latehook/", through),
    ]:
        world.post("reset")
        world.order("a-1")
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


def test_another_machine_is_asked_for_the_token(chromium: Browser, start: Callable[..., Proxy]) -> None:
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


# What it withstands


def test_nothing_flickers(page: Page, world: World) -> None:
    world.order("a-1")
    pane = detail(page, "a-1")
    pane.locator("summary", has_text="Body").first.click()
    page.evaluate("window.held = document.querySelector('#list > li'); window.pane = document.querySelector('article')")
    page.get_by_label("event", exact=True).press_sequentially("order")
    page.get_by_label("event", exact=True).fill("order.done")

    for number in range(2, 6):
        world.order(f"a-{number}")
    world.post("clock", advance="1h")

    expect(row(page, "a-5")).to_contain_text("delivered")
    expect(row(page, "a-1")).to_contain_text("delivered")
    assert page.evaluate("window.held === document.querySelector('#list > li:last-child')")
    assert page.evaluate("window.pane === document.querySelector('article')")
    expect(page.get_by_label("event", exact=True)).to_be_focused()
    expect(page.get_by_label("event", exact=True)).to_have_value("order.done")
    expect(pane.locator("section", has_text="Request").locator("details[open]")).to_have_count(1)
    expect(page.locator("[aria-current=true]")).to_contain_text("a-1")


def test_what_comes_from_outside_is_text(page: Page, world: World) -> None:
    hostile = "<img src=x onerror=window.hit=1><script>window.hit=1</script>"
    world.sut.behave = answer(500, hostile.encode())
    world.order(hostile, note=hostile)
    world.post("clock", advance="1h")
    world.through.put(f"http://api.slow.example/{hostile}")
    pane = detail(page, hostile)
    expect(pane.locator(".card")).to_contain_text("failed · 500")
    for summary in pane.locator("summary").all():
        summary.click()
    expect(pane.locator("pre", has_text=hostile).first).to_be_visible()
    page.keyboard.press("3")
    expect(page.locator("#list > li")).to_have_count(1)

    assert page.evaluate("[window.hit ?? null, document.images.length]") == [None, 0]
    policy = world.http.get("").headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy


def test_five_thousand_jobs(page: Page, world: World) -> None:
    world.order_many(5000)
    expect(row(page, "n-4999")).to_be_visible()
    expect(page.get_by_role("button", name="Jobs 5,000")).to_be_visible()
    assert len(shown(page)) == 50
    assert page.locator("*").count() < 2000

    page.get_by_role("button", name="Older").click()
    expect(row(page, "n-4949")).to_be_visible()
    page.keyboard.press("[")
    expect(row(page, "n-4999")).to_be_visible()
    world.order("one more")
    expect(row(page, "one more")).to_be_visible()
    page.get_by_label("where", exact=True).fill("job.id == 'n-7'")
    expect(row(page, "n-7")).to_be_visible()
    assert shown(page) == ["n-7"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_is_read_on_a_phone_in_either_light(chromium: Browser, world: World, scheme: Any) -> None:
    world.order("a-job-whose-id-is-too-long-for-its-column-and-has-no-place-to-break-0123456789")
    world.through.put(f"http://api.slow.example/{'long' * 60}")
    narrow = {"width": 400, "height": 700}
    with opened(chromium, world.url, viewport=narrow, color_scheme=scheme) as page:
        rows = page.locator("#list > li")
        expect(rows).to_have_count(1)
        assert (too_wide(page), faint(page)) == ([], [])
        rows.get_by_role("button").click()
        expect(page.locator("#detail")).to_be_visible()
        assert (too_wide(page), faint(page)) == ([], [])
        page.keyboard.press("Escape")
        page.keyboard.press("3")
        expect(rows.locator(".why")).to_be_visible()
        assert (too_wide(page), faint(page)) == ([], [])


def too_wide(page: Page) -> list[str]:
    """What scrolls sideways."""
    found: list[str] = page.evaluate(
        "[...document.querySelectorAll('html, #listing, #detail')].filter(node => node.scrollWidth > node.clientWidth).map(node => node.tagName)"
    )
    return found


FAINT = """() => {
  const light = color => {
    const [r, g, b] = color.match(/[\\d.]+/g).map(n => n / 255).map(c => c <= .04045 ? c / 12.92 : ((c + .055) / 1.055) ** 2.4);
    return .2126 * r + .7152 * g + .0722 * b;
  };
  const ground = node => !node ? "rgb(255, 255, 255)"
    : getComputedStyle(node).backgroundColor === "rgba(0, 0, 0, 0)" ? ground(node.parentElement) : getComputedStyle(node).backgroundColor;
  const found = [];
  for (const node of document.querySelectorAll("body *")) {
    const isText = [...node.childNodes].some(child => child.nodeType === 3 && child.data.trim());
    if (!isText || !node.checkVisibility()) continue;
    const [a, b] = [light(getComputedStyle(node).color), light(ground(node))].sort((x, y) => y - x);
    if ((a + .05) / (b + .05) < 4.5) found.push([node.textContent, (a + .05) / (b + .05)]);
  }
  return found;
}"""


def faint(page: Page) -> list[Any]:
    """Visible text with less of a contrast than WCAG's AA."""
    found: list[Any] = page.evaluate(FAINT)
    return found
