"""Redirects of receivers: how each is followed, and what the other URL gets."""

import itertools
import socket
from collections.abc import Callable, Iterator, Sequence

import pytest
from msgspec.structs import replace

from latehook.base.messages import Outcome, Outgoing, Redirect, WireTrace
from latehook.delivery.addresses import Address
from latehook.delivery.connections import Refusal
from latehook.delivery.redirects import following
from latehook.delivery.transport import Transport
from latehook.webhooks.targets import Targets, parse_targets
from support.ports import free_port
from support.raw_servers import hangs, raw_server
from support.receivers import Receiver, answer, receiver

BODY = b'{"id": 7}'
SIGNED = (("X-Signature", "v1=5257"), ("content-type", "application/json"), ("Digest", "sha-256=x"))
SECRETS = (("authorization", "Bearer t"), ("Cookie", "a=1"), ("Host", "hooks.example"))


def allow(host: str, port: int, address: str | None) -> str | None:
    return None


async def send(url: str, redirects: int = 5, refusal: Refusal = allow, **changes: object) -> Outcome:
    """Make one attempt over real sockets."""
    transport = Transport(refusal)
    fields = {"method": "POST", "headers": SIGNED + SECRETS, "body": BODY, "timeout": 5.0, **changes}
    try:
        return await transport.send(Outgoing(url=url, redirects=redirects, **fields))  # type: ignore[arg-type]
    finally:
        await transport.close()


@pytest.fixture
def other() -> Iterator[Receiver]:
    """A receiver of another origin."""
    with receiver() as server:
        yield server


def redirecting(*locations: str, status: int = 307) -> Callable[..., None]:
    """Answer with redirects to these places in turn, then with 200."""

    def behave(handler: object, number: int) -> None:
        plain = answer(200, b"arrived")
        behaves = [answer(status, b"moved", location=location) for location in locations]
        (behaves[number] if number < len(behaves) else plain)(handler, number)  # type: ignore[arg-type]

    return behave


@pytest.mark.parametrize("status", [307, 308])
async def test_the_same_request_follows_a_307_and_a_308(sut: Receiver, status: int) -> None:
    sut.behave = redirecting("/b%2f?x=1", "c/../d", status=status)

    outcome = await send(f"{sut.url}/a?q=2")

    assert [(request.method, request.path, request.body) for request in sut.requests] == [
        ("POST", "/a?q=2", BODY),
        ("POST", "/b%2f?x=1", BODY),
        ("POST", "/d", BODY),
    ]
    assert sut.requests[0].headers == sut.requests[2].headers
    assert sut.connections == 1
    assert (outcome.status, outcome.body, outcome.error) == (200, b"arrived", None)
    assert outcome.redirects == (Redirect(status, f"{sut.url}/b%2f?x=1"), Redirect(status, f"{sut.url}/d"))


@pytest.mark.parametrize("status", [301, 302, 303])
@pytest.mark.parametrize(("method", "follows"), [("POST", "GET"), ("PUT", "GET"), ("HEAD", "HEAD")])
async def test_a_get_without_a_body_follows_the_others(sut: Receiver, status: int, method: str, follows: str) -> None:
    sut.behave = redirecting("/b", status=status)

    await send(sut.url, method=method)

    _, second = sut.requests
    assert (second.method, second.path, second.body) == (follows, "/b", b"")
    assert not {"content-type", "content-length", "digest"} & second.headers.keys()
    assert (second.headers["x-signature"], second.headers["authorization"]) == ("v1=5257", "Bearer t")


async def test_another_origin_does_not_get_credentials(sut: Receiver, other: Receiver) -> None:
    sut.behave = redirecting(f"{other.url}/there")

    outcome = await send(f"http://user:pass@127.0.0.1:{sut.port}/", headers=SIGNED + SECRETS[1:])

    assert sut.requests[0].headers["authorization"].startswith("Basic ")
    [there] = other.requests
    assert not {"authorization", "cookie"} & there.headers.keys()
    assert there.headers["host"] == f"127.0.0.1:{other.port}"
    assert (there.headers["x-signature"], there.body) == ("v1=5257", BODY)
    assert outcome.redirects == (Redirect(307, f"{other.url}/there"),)


async def test_the_same_origin_keeps_the_user_of_the_url_which_is_not_shown(sut: Receiver) -> None:
    sut.behave = redirecting("/there")

    outcome = await send(f"http://user:pass@127.0.0.1:{sut.port}/", headers=())

    assert sut.requests[0].headers["authorization"] == sut.requests[1].headers["authorization"]
    assert outcome.redirects == (Redirect(307, f"{sut.url}/there"),)


@pytest.mark.parametrize(("allowed", "sent"), [(0, 1), (1, 2), (4, 5)])
async def test_a_loop_ends_after_the_redirects_that_are_allowed(sut: Receiver, allowed: int, sent: int) -> None:
    sut.behave = answer(302, location="/again")

    outcome = await send(sut.url, redirects=allowed)

    assert (outcome.status, len(sut.requests), len(outcome.redirects)) == (302, sent, allowed)
    assert not outcome.final


@pytest.mark.parametrize("status", [300, 304, 305, 306, 399, 200, 201])
async def test_another_status_with_a_location_is_an_answer(sut: Receiver, status: int) -> None:
    sut.behave = answer(status, b"", location="/b")

    assert ((await send(sut.url)).status, len(sut.requests)) == (status, 1)


async def test_a_redirect_without_a_location_is_an_answer(sut: Receiver) -> None:
    sut.behave = answer(307)

    outcome = await send(sut.url)

    assert (outcome.status, outcome.error, outcome.redirects, len(sut.requests)) == (307, None, (), 1)


@pytest.mark.parametrize(
    ("location", "reason"),
    [
        ("ftp://files.example/", "not a URL that starts with http:// or https:// and a host"),
        ("file:///etc/passwd", "not a URL that starts with http:// or https:// and a host"),
        ("javascript:alert(1)", "not a URL that starts with http:// or https:// and a host"),
        ("http://", "not a URL that starts with http:// or https:// and a host"),
        ("http://169.254.169.254/latest", "refused: 169.254.169.254 is a link-local address: --set mock_targets="),
        ("//203.0.113.7/x", "refused: 203.0.113.7 is a public address: --set mock_targets=203.0.113.7 would open it"),
        ("http://[::ffff:8.8.8.8]/", "refused: ::ffff:8.8.8.8 is a public address"),
    ],
)
async def test_a_redirect_to_where_no_webhook_may_go_is_refused(sut: Receiver, location: str, reason: str) -> None:
    sut.behave = redirecting(location)

    outcome = await send(sut.url, refusal=Targets().refusal)

    assert (outcome.error or "").startswith(reason)
    assert (outcome.status, outcome.final, len(sut.requests)) == (None, True, 1)
    assert [each.status for each in outcome.redirects] == [307]


@pytest.mark.parametrize("location", ["http://[", "http://a:b:c/", "http://a:99999/"])
async def test_a_location_that_is_no_url_is_an_error(sut: Receiver, location: str) -> None:
    sut.behave = redirecting(location)

    outcome = await send(sut.url)

    assert outcome.error is not None and outcome.status is None
    assert (len(sut.requests), outcome.redirects) == (1, (Redirect(307, location),))


ODD = [
    *("//", "?", "#", "/", ";", "..", ":", "http:", "http:/x", "http:///x", "http://?", "\\\\evil.example\\x", "http:\\\\evil.example"),
    *("http://\x7f/", "http://a b.example/", "http://\xfc.example/", "http://%00/", "http://1.2.3/", "http://a.example:0/"),
    *("http://user:pa ss@evil.example/", "http://[::1", "http://[fe80::1%25eth0]/", "http://" + "a" * 300 + ".example/"),
    *("data:text/plain,x", "http://evil.example#@127.0.0.1/", "http://127.0.0.1@evil.example/", "/\xfc?\xfc=\xe9 x"),
]  # fmt: skip


async def test_no_location_raises_or_leads_elsewhere(sut: Receiver) -> None:
    async def unknown(host: str, port: int) -> Sequence[Address]:
        if host == "127.0.0.1":
            return [Address(socket.AF_INET, host, (host, port))]
        raise OSError(f"the name {host} is not known")

    for location in ODD:
        sut.requests.clear()
        sut.behave = redirecting(location)
        transport = Transport(Targets().refusal, lookup=unknown)
        outcome = await transport.send(Outgoing("POST", sut.url, (), BODY, 5.0, redirects=1))
        await transport.close()

        assert len(outcome.redirects) == 1, location
        assert (len(sut.requests) == 2) == (outcome.status == 200) == (outcome.error is None), location


async def test_a_hop_is_looked_up_mapped_and_checked_as_the_first_url_is(sut: Receiver, other: Receiver) -> None:
    asked: list[tuple[str, str | None]] = []
    targets = parse_targets([f"http://hooks.acme.com=http://localhost:{other.port}"])

    def refusal(host: str, port: int, address: str | None) -> str | None:
        asked.append((host, address))
        return targets.refusal(host, port, address)

    async def lookup(host: str, port: int) -> Sequence[Address]:
        return [Address(socket.AF_INET, "127.0.0.1", ("127.0.0.1", port))]

    transport = Transport(refusal, targets.route, lookup=lookup)
    sut.behave = redirecting("http://hooks.acme.com/there")
    outcome = await transport.send(Outgoing("POST", sut.url, (), BODY, 5.0, redirects=1))
    await transport.close()

    assert asked[2:] == [("localhost", None), ("localhost", "127.0.0.1")]
    assert (other.requests[0].path, other.requests[0].headers["host"]) == ("/there", "hooks.acme.com")
    assert outcome.status == 200


async def test_what_fails_after_a_redirect_is_the_end_of_the_attempt(sut: Receiver) -> None:
    nobody = f"http://127.0.0.1:{free_port()}/"
    sut.behave = redirecting(nobody)

    outcome = await send(sut.url)

    assert (outcome.error, outcome.final, outcome.redirects) == ("Connection refused", False, (Redirect(307, nobody),))
    assert len(sut.requests) == 1


async def test_the_timeout_is_for_all_requests_together(sut: Receiver) -> None:
    with raw_server(hangs) as port:
        sut.behave = redirecting("/b", f"http://127.0.0.1:{port}/")

        outcome = await send(sut.url, timeout=0.3)

    assert (outcome.error, len(outcome.redirects)) == ("no answer within 0.3 s", 2)


async def test_a_trace_has_the_last_request(sut: Receiver, other: Receiver) -> None:
    wire = WireTrace()
    sut.behave = redirecting(f"{other.url}/there", status=303)

    await send(sut.url, wire=wire)

    assert (wire.server, wire.target) == (("127.0.0.1", other.port), "/there")
    assert wire.redirected is not None and (wire.redirected.method, wire.redirected.url) == (
        "GET",
        f"{other.url}/there",
    )
    assert wire.answer is not None and wire.answer.status == 200


@pytest.mark.parametrize(
    ("url", "location", "leads_to"),
    [
        ("https://a.test/x/y?q", "z", "https://a.test/x/z"),
        ("https://a.test/x", "?z=1", "https://a.test/x?z=1"),
        ("https://a.test/x", "//b.test", "https://b.test"),
        ("https://a.test/x", "HTTP://B.test/Y/../Z", "HTTP://B.test/Y/../Z"),
        ("https://a.test/x", "/ü", "https://a.test/ü"),
    ],
)
def test_a_location_may_be_relative(url: str, location: str, leads_to: str) -> None:
    redirected = following(Outgoing("POST", url, (), BODY, 5.0), 308, location)

    assert redirected is not None and redirected.url == leads_to


def test_an_origin_is_a_scheme_a_host_and_a_port() -> None:
    first = Outgoing("POST", "https://a.test/x", SECRETS, BODY, 5.0)
    kept = {"https://A.test:443/y", "https://u:p@a.test/", "/y"}
    dropped = {"http://a.test/", "https://a.test:8443/", "https://b.a.test/", "https://a.test.b/", "https://a.test:x/"}

    for location in kept | dropped:
        redirected = following(first, 307, location)
        assert redirected is not None
        assert (redirected.headers == SECRETS) == (location in kept), location
    for status, location in itertools.product((200, 304, 404), ("/y", "https://b.test/")):
        assert following(first, status, location) is None
    assert following(replace(first, redirects=9), 307, "") is None
