"""Pages of other sites in a real Chromium: none of their requests is carried out, whatever sends it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from support.browser import MOCKS, NEEDS_CHROMIUM, Site, opened, row
from support.ports import free_port
from support.process import Proxy
from support.receivers import Handler, Receiver, answer, receiver
from support.waiting import wait_until

pytestmark = NEEDS_CHROMIUM

WHERE = "where=" + quote("request.json.id == 'a-1'")
PATHS = [
    "",
    "?x=1",
    "status",
    f"jobs?{WHERE}",
    f"webhooks?{WHERE}",
    f"wait?{WHERE}",
    "requests",
    "vars",
    "openapi.json",
    "ca.pem",
]

SENDERS = {
    "fetch": "fetch(url)",
    "fetch without CORS": "fetch(url, {mode: 'no-cors'})",
    "fetch without a referrer": "fetch(url, {mode: 'no-cors', referrerPolicy: 'no-referrer'})",
    "fetch with a preflight": "fetch(url, {headers: {authorization: 'Bearer x'}})",
    "POST": "fetch(url, {method: 'POST', mode: 'no-cors', body: '{}'})",
    "PUT": "fetch(url, {method: 'PUT', headers: {'content-type': 'application/json'}, body: '{}'})",
    "beacon": "navigator.sendBeacon(url, '{}')",
    "image": "add('img', {src: url})",
    "script": "add('script', {src: url})",
    "style sheet": "add('link', {rel: 'stylesheet', href: url})",
    "preload": "add('link', {rel: 'preload', as: 'fetch', href: url})",
    "video": "add('video', {src: url, preload: 'auto'})",
    "object": "add('object', {data: url})",
    "iframe": "add('iframe', {src: url})",
    "sandboxed iframe": "add('iframe', {src: url, sandbox: 'allow-scripts'})",
    "form": "submit('get')",
    "form POST": "submit('post')",
    "event stream": "new EventSource(url)",
    "web socket": "new WebSocket(url.replace('http', 'ws'))",
    "worker": "new Worker(URL.createObjectURL(new Blob([`fetch('${url}', {mode: 'no-cors'})`])))",
}
"""What a page can send requests with, as JavaScript."""

PAGE = b"""<!doctype html><body><script>
const add = (name, attributes) => document.body.append(Object.assign(document.createElement(name), attributes));
const submit = method => {
  const target = `frame ${document.forms.length}`;
  add("iframe", {name: target});
  add("form", {action: url, method, target});
  [...document.forms].at(-1).submit();
};
let url;
const send = (to, code) => { url = to; try { eval(code); } catch (error) { return String(error); } };
</script>"""


def show(handler: Handler, number: int) -> None:
    answer(body=PAGE, content_type="text/html")(handler, number)


@pytest.fixture(scope="module")
def hostile() -> Iterator[Receiver]:
    with receiver(show) as server:
        yield server


@contextmanager
def statuses(context: BrowserContext, url: str) -> Iterator[list[int]]:
    """Collect the statuses of all answers of the control API that the browser gets, whoever asked."""
    found: list[int] = []
    context.on("response", lambda response: found.append(response.status) if response.url.startswith(url) else None)
    yield found


@pytest.mark.parametrize("host", ["127.0.0.1", "evil.test"], ids=["same site", "another site"])
def test_no_request_of_another_page_is_carried_out(chromium: Browser, site: Site, hostile: Receiver, host: str) -> None:
    site.order("a-1")
    urls = [f"{site.url}{path}" for path in [*PATHS, "hold", "release", "reset", "webhooks/x/fire"]]
    with chromium.new_context() as context, statuses(context, site.url) as found:
        page = context.new_page()
        failures = watch_sockets(page)
        for sender, code in SENDERS.items():
            page.goto(f"{hostile.url.replace('127.0.0.1', host)}/")
            found.clear()
            failures.clear()
            page.evaluate("([urls, code]) => urls.forEach(url => send(url, code))", [urls, code])
            wait_until(
                lambda: page.evaluate("1") and len(found) + len(failures) >= len(urls), f"all answers to {sender}"
            )

            assert set(found) <= {403}, sender
            assert (site.state("a-1"), site.http.get("status").json()["holding"]) == ("pending", False), sender


def watch_sockets(page: Page) -> list[str]:
    """Collect the failures of web sockets: they are no responses."""
    failures: list[str] = []
    page.on("websocket", lambda socket: socket.on("socketerror", lambda error: failures.append(str(error))))
    page.on("requestfailed", lambda request: failures.append(request.url))
    return failures


def test_a_link_opens_nothing_but_the_page(chromium: Browser, site: Site, hostile: Receiver) -> None:
    opened = {}
    with chromium.new_context() as context:
        page = context.new_page()
        for path in PATHS[1:]:
            page.goto(f"{hostile.url.replace('127.0.0.1', 'evil.test')}/")
            with page.expect_navigation() as navigation:
                page.evaluate("url => { location = url; }", f"{site.url}{path}")
            opened[path] = navigation.value.status if navigation.value else None

    assert opened == dict.fromkeys(PATHS[1:], 403)


def test_a_link_to_the_page_evaluates_nothing(chromium: Browser, site: Site, hostile: Receiver) -> None:
    site.order("a-1")
    site.order("a-2")
    with chromium.new_context() as context:
        page = context.new_page()
        page.goto(f"{hostile.url.replace('127.0.0.1', 'evil.test')}/")
        requested: list[str] = []
        page.on("request", lambda request: requested.append(request.url))
        page.evaluate("url => { location = url; }", f"{site.url}#list=jobs&{WHERE}")
        expect(row(page, "a-2")).to_be_visible()
        expect(page.locator("#filter .note")).to_contain_text("This filter came with the URL")
        assert [url for url in requested if "where" in url.partition("#")[0]] == []

        page.get_by_label("where", exact=True).press("Enter")
        expect(row(page, "a-2")).to_be_hidden()
        expect(row(page, "a-1")).to_be_visible()
        page.reload()
        expect(row(page, "a-1")).to_be_visible()
        expect(row(page, "a-2")).to_be_hidden()


def test_a_url_that_the_user_types_works(chromium: Browser, site: Site) -> None:
    site.order("a-1")
    site.post(f"webhooks/{site.http.get('webhooks').json()['items'][0]['id']}/fire")
    opened = {}
    with chromium.new_context() as context:
        for path in PATHS:
            if path != "ca.pem":  # Chromium saves that one
                response = context.new_page().goto(f"{site.url}{path}")
                opened[path] = response.status if response else None

    assert opened == dict.fromkeys(opened, 200) | {"?x=1": 400}


# Pages at the origin of a mocked host

ATTACK = """async () => {
  const get = async path => (await fetch(path, {referrerPolicy: 'no-referrer'})).status;
  const post = (path, type, body) => fetch(path, {method: 'POST', headers: {'content-type': type}, body});
  return [
    await get('/_latehook/'), await get('/_latehook/status'), await get('/_latehook/jobs?where=true'),
    (await fetch('/_latehook/jobs', {headers: {authorization: 'Bearer x', 'accept-language': '*'}})).status,
    (await post('/_latehook/hold', 'application/json', '{}')).status,
    (await post('/_latehook/mocks', 'application/yaml', 'mocks: []')).status,
  ];
}"""


def forwarding(host: str) -> str:
    return f"mocks: [{{match: GET {host}/shop, response: forward}}, {{match: ANY {host}/api/**}}]"


def test_a_forwarded_page_of_a_mocked_host_may_not_use_the_api(
    chromium: Browser, start: Callable[..., Proxy], hostile: Receiver
) -> None:
    host = hostile.url.removeprefix("http://")
    proxy = start(mocks=forwarding(host))
    through: Any = {"server": proxy.url, "bypass": "<-loopback>"}
    with chromium.new_context(proxy=through) as context:
        page = context.new_page()
        page.goto(f"{hostile.url}/shop")

        assert set(page.evaluate(ATTACK)) == {403}
        refusal = page.goto(f"{hostile.url}/_latehook/")
        assert refusal is not None and refusal.status == 403
        assert "browsers may use the API only at the address of a proxy in regular mode" in refusal.text()


def test_a_forwarded_page_in_reverse_mode_may_not_use_the_api(
    chromium: Browser, start: Callable[..., Proxy], hostile: Receiver
) -> None:
    port = free_port()
    mode = f"reverse:{hostile.url}@127.0.0.1:{port}"
    start("--mode", mode, mocks=forwarding(hostile.url.removeprefix("http://"))).wait_for("listening at")
    with chromium.new_context() as context:
        page = context.new_page()
        page.goto(f"http://127.0.0.1:{port}/shop")

        assert set(page.evaluate(ATTACK)) == {403}


def test_a_page_that_is_passed_on_in_reverse_mode_may_not_use_the_api(
    chromium: Browser, start: Callable[..., Proxy], hostile: Receiver
) -> None:
    port = free_port()
    start("--mode", f"reverse:{hostile.url}@127.0.0.1:{port}", mocks=MOCKS.format(sut=hostile.url)).wait_for(
        "listening at"
    )
    with chromium.new_context() as context:
        page = context.new_page()
        page.goto(f"http://127.0.0.1:{port}/shop")

        assert set(page.evaluate(ATTACK)) == {403}


def test_the_own_page_of_a_proxy_beside_a_reverse_proxy_works(
    chromium: Browser, start: Callable[..., Proxy], hostile: Receiver
) -> None:
    port, other = free_port(), free_port()
    modes = ("--mode", f"regular@127.0.0.1:{port}", "--mode", f"reverse:{hostile.url}@127.0.0.1:{other}")
    start(*modes, mocks=forwarding(hostile.url.removeprefix("http://"))).wait_for("listening at", count=2)
    with opened(chromium, f"http://127.0.0.1:{port}/_latehook/") as page:
        expect(page.get_by_text("No job yet.")).to_be_visible()
