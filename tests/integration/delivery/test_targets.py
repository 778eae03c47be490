"""Where webhooks may go: the policy as tables, then over real sockets, then as an option of a real mitmdump."""

import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from latehook.base.errors import OptionError
from latehook.base.messages import Outcome, Outgoing
from latehook.delivery.addresses import Address, Lookup
from latehook.delivery.transport import Transport
from latehook.options import parse as parse_options
from latehook.webhooks.targets import Origin, Targets, parse_targets
from support.certificates import certificate
from support.ports import free_port
from support.receivers import Receiver, answer, receiver

# The policy


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "127.8.9.10", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1"),
        *(
            "::1",
            "fd00::1",
            "fc00::1",
            "0.0.0.0",
            "::",
            "::ffff:0.0.0.0",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "0:0:0:0:0:0:0:1",
        ),
    ],
)
def test_loopback_and_private_addresses_are_allowed(address: str) -> None:
    assert Targets().refusal("app", 8000, address) is None
    assert Targets().refusal(address, 8000) is None


FORBIDDEN = {
    "public": [
        *("203.0.113.1", "8.8.8.8", "172.32.0.1", "192.169.0.1", "100.64.0.1", "2606:4700::1111"),
        *("::ffff:8.8.8.8", "64:ff9b::808:808"),
    ],
    "link-local": ["169.254.169.254", "169.254.0.1", "fe80::1", "fe80::1%eth0", "febf::1", "::ffff:169.254.169.254"],
    "cloud's metadata": [
        *("fd00:ec2::254", "fd00:ec2::23", "fd20:ce::254", "fd00:c1::a9fe:a9fe", "fd00:42::42"),
        *("100.100.100.200", "168.63.129.16", "192.0.0.192", "::ffff:100.100.100.200"),
    ],
    "multicast": ["224.0.0.1", "239.255.255.250", "ff02::1"],
    "unspecified": ["0.0.0.1", "0.1.2.3", "::ffff:0.1.2.3"],
    "reserved": [
        *("240.0.0.1", "255.255.255.255", "192.0.0.1", "192.88.99.1", "fec0::1", "4000::1", "::127.0.0.1"),
        *("64:ff9b::a9fe:a9fe", "64:ff9b::7f00:1", "64:ff9b::a00:1", "64:ff9b:1::a9fe:a9fe"),
        *("2002:a9fe:a9fe::1", "2002:7f00:1::", "2001:0:a9fe:a9fe::1"),
    ],
}
KINDS = [(kind, address) for kind, addresses in FORBIDDEN.items() for address in addresses]


@pytest.mark.parametrize(("kind", "address"), KINDS)
def test_all_others_are_refused_with_their_kind_and_the_option(kind: str, address: str) -> None:
    for reason in (Targets().refusal("hooks.acme.com", 443, address), Targets().refusal(address, 443)):
        assert reason is not None and reason.startswith("refused: ")
        assert f" {kind} address: --set mock_targets=" in reason


@pytest.mark.parametrize(("kind", "address"), KINDS)
def test_a_name_opens_public_addresses_only_and_an_address_opens_itself(kind: str, address: str) -> None:
    plain = address.partition("%")[0]
    for entry in ("hooks.acme.com", "*.acme.com", "*"):
        assert (parse_targets([entry]).refusal("hooks.acme.com", 443, address) is None) == (kind == "public")
    assert parse_targets([plain]).refusal("hooks.acme.com", 443, address) is None


def test_what_is_opened_by_the_entry_that_the_reason_names() -> None:
    for address in (address for addresses in FORBIDDEN.values() for address in addresses):
        reason = Targets().refusal("hooks.acme.com", 443, address) or ""
        [entry] = [word.partition("=")[2] for word in reason.split() if word.startswith("mock_targets=")]
        assert parse_targets([entry]).refusal("hooks.acme.com", 443, address) is None


@pytest.mark.parametrize(
    ("entry", "host", "port", "address", "opens"),
    [
        ("hooks.acme.com", "HOOKS.acme.com.", 443, "203.0.113.1", True),
        ("hooks.acme.com", "a.hooks.acme.com", 443, "203.0.113.1", False),
        ("hooks.acme.com", "hooks.acme.com.evil.example", 443, "203.0.113.1", False),
        ("hooks.acme.com", "203.0.113.1", 443, None, False),
        ("hooks.acme.com:443", "hooks.acme.com", 443, "203.0.113.1", True),
        ("hooks.acme.com:443", "hooks.acme.com", 80, "203.0.113.1", False),
        ("*.acme.com", "a.b.acme.com", 443, "203.0.113.1", True),
        ("*.acme.com", "acme.com", 443, "203.0.113.1", False),
        ("*.acme.com", "evilacme.com", 443, "203.0.113.1", False),
        ("*.acme.com:8443", "a.acme.com", 8443, "203.0.113.1", True),
        ("bücher.example", "xn--bcher-kva.example", 443, "203.0.113.1", True),
        ("xn--bcher-kva.example", "bücher.example", 443, "203.0.113.1", True),
        ("203.0.113.1", "anything.example", 443, "203.0.113.1", True),
        ("203.0.113.1", "203.0.113.1", 443, None, True),
        ("203.0.113.1:80", "203.0.113.1", 443, None, False),
        ("203.0.113.1", "::ffff:203.0.113.1", 443, None, True),
        ("::ffff:203.0.113.1", "203.0.113.1", 443, None, True),
        ("203.0.113.0/24", "a.example", 443, "203.0.113.77", True),
        ("203.0.113.0/24", "a.example", 443, "203.0.114.1", False),
        ("203.0.113.0/24:443", "a.example", 80, "203.0.113.77", False),
        ("169.254.0.0/16", "a.example", 80, "169.254.169.254", True),
        ("2001:db8::/32", "a.example", 80, "2001:db8::1", True),
        ("[2001:db8::1]:80", "a.example", 80, "2001:db8::1", True),
        ("[2001:db8::1]:80", "a.example", 443, "2001:db8::1", False),
        ("*", "203.0.113.1", 443, None, True),
        ("*:443", "203.0.113.1", 80, None, False),
    ],
)
def test_an_entry_opens_what_it_says(entry: str, host: str, port: int, address: str | None, opens: bool) -> None:
    assert (parse_targets([entry]).refusal(host, port, address) is None) == opens


def test_a_name_is_not_refused_before_it_is_known_where_it_leads() -> None:
    assert Targets().refusal("hooks.acme.com", 443) is None


@pytest.mark.parametrize("address", ["", "app", "0177.0.0.1", "2130706433", "127.0.0.1%lo", "127.1"])
def test_what_is_not_an_address_is_not_connected_to(address: str) -> None:
    """The loop would look it up once more."""
    assert parse_targets(["*", "0.0.0.0/0"]).refusal("app", 80, address) == f"refused: {address} is not an address"


@pytest.mark.parametrize(
    ("entry", "url", "other"),
    [
        ("https://hooks.acme.com=http://app:8000", "https://hooks.acme.com:443", "http://app:8000"),
        ("https://hooks.acme.com=http://app:8000", "http://hooks.acme.com:80", None),
        ("https://hooks.acme.com=http://app:8000", "https://hooks.acme.com:8443", None),
        ("https://hooks.acme.com=http://app:8000", "https://Hooks.acme.com.:443", "http://app:8000"),
        ("https://hooks.acme.com=http://app:8000", "https://a.hooks.acme.com:443", None),
        ("https://*.acme.com:8443/=http://[::1]", "https://a.acme.com:8443", "http://[::1]:80"),
        ("http://203.0.113.1=https://127.0.0.1", "http://203.0.113.1:80", "https://127.0.0.1:443"),
        ("http://*=http://app:8000", "http://whoever.example:80", "http://app:8000"),
    ],
)
def test_a_mapping_leads_elsewhere_and_opens_that(entry: str, url: str, other: str | None) -> None:
    scheme, _, rest = url.partition("://")
    host, _, port = rest.rpartition(":")
    origin = Origin(scheme, host, int(port))
    targets = parse_targets([entry])

    assert targets.route(origin).url == (other or url)
    if other is not None:
        leads = targets.route(origin)
        assert targets.refusal(leads.host, leads.port, "203.0.113.9" if leads.host == "app" else None) is None


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("https://hooks.acme.com", "an entry that is not a mapping has no scheme"),
        ("hooks.acme.com=app:8000", "'hooks.acme.com' is not scheme://host[:port]"),
        ("https://hooks.acme.com=app:8000", "'app:8000' is not scheme://host[:port]"),
        ("https://hooks.acme.com/hook=http://app", "'https://hooks.acme.com/hook' is not scheme://host[:port]"),
        ("https://user@a.example=http://app", "'https://user@a.example' is not scheme://host[:port]"),
        ("https://a.example=http://*.b.example", "the target of a mapping is one host"),
        ("https://a.example=http://*", "the target of a mapping is one host"),
        ("a.example:0", "'0' is not a port from 1 to 65535"),
        ("a.example:http", "'http' is not a port from 1 to 65535"),
        ("a.example:", "'' is not a port from 1 to 65535"),
        ("*a.example", "'*a.example' is not a host"),
        ("a.*.example", "'a.*.example' is not a host"),
        ("a b", "'a b' is not a host"),
        ("a..b", "'a..b' is not a host"),
        ("a,b", "'a,b' is not a host"),
        ("10.0.0.1/8", "10.0.0.1/8 has host bits set"),
        ("10.0.0.0/33", "'10.0.0.0/33' does not appear to be an IPv4 or IPv6 network"),
        ("::ffff:10.0.0.0/104", "'::ffff:10.0.0.0/104' is a network of IPv4 addresses"),
        ("2130706433", "'2130706433' is neither a name nor an address in its usual form"),
        ("0x7f.0.0.1", "'0x7f.0.0.1' is neither a name nor an address in its usual form"),
        ("[::1", "'[::1' is not host[:port]"),
    ],
)
def test_an_entry_that_says_nothing_is_an_error_in_one_line(text: str, says: str) -> None:
    with pytest.raises(OptionError) as raised:
        parse_options({"mock_targets": ["a.example", text]}, Path("."))

    assert str(raised.value).startswith(f"mock_targets={text}: {says}")
    assert str(raised.value).endswith(": write a host, *.suffix, an address or a network, each with :PORT if only that one is meant, or *; or https://hooks.acme.com=http://app:8000")  # fmt: skip
    assert "\n" not in str(raised.value)


def test_every_occurrence_counts_and_blank_ones_say_nothing() -> None:
    targets = parse_options({"mock_targets": ["a.example", " ", "", "b.example "]}, Path(".")).targets

    assert [targets.refusal(name, 443, "203.0.113.1") is None for name in ("a.example", "b.example", "c.example")] == [
        *(True, True, False)
    ]


# Over sockets


_connected: list[Any] = []
_noticing = False


def _notice(event: str, arguments: Any) -> None:
    if _noticing and event == "socket.connect":
        _connected.append(arguments[1])


sys.addaudithook(_notice)


@contextmanager
def connections() -> Iterator[list[Any]]:
    """The addresses that this process connects to meanwhile."""
    global _noticing
    _connected.clear()
    _noticing = True
    try:
        yield _connected
    finally:
        _noticing = False


def answers(*turns: list[str]) -> Lookup:
    """Return a look-up that gives these addresses, the last ones again and again."""
    left = list(turns)

    async def lookup(host: str, port: int) -> list[Address]:
        addresses = left.pop(0) if len(left) > 1 else left[0]
        return [Address(socket.AF_INET6 if ":" in one else socket.AF_INET, one, (one, port)) for one in addresses]

    return lookup


async def send(url: str, targets: Targets, *addresses: list[str], **changes: Any) -> Outcome:
    lookup = {"lookup": answers(*addresses)} if addresses else {}
    transport = Transport(targets.refusal, targets.route, **lookup)
    outgoing = {"method": "POST", "headers": (), "body": b"{}", "timeout": 5.0, **changes}
    try:
        return await transport.send(Outgoing(url=url, **outgoing))
    finally:
        await transport.close()


@pytest.mark.parametrize(
    "host",
    [
        *("203.0.113.1", "192.0.2.1", "169.254.169.254", "0.0.0.1", "224.0.0.1", "255.255.255.255"),
        *("[::ffff:203.0.113.1]", "[::ffff:a9fe:a9fe]", "[64:ff9b::a9fe:a9fe]", "[2002:a9fe:a9fe::1]", "[fe80::1]"),
        *("[fd00:ec2::254]", "0xa9fea9fe", "0251.0376.0251.0376", "2852039166", "169.16689662"),
        *("203.0.113.1.", "0xcb.0.113.1", "\uff12\uff10\uff13.0.113.1", "169\u3002254\u3002169\u3002254"),
    ],
)
async def test_an_address_is_refused_before_a_connection_is_made_however_it_is_written(host: str) -> None:
    with connections() as connected:
        outcome = await send(f"http://{host}/hook", Targets())

    assert connected == []
    assert outcome.status is None
    if outcome.error is not None and "refused" not in outcome.error:  # the client takes no such address
        assert any(words in outcome.error for words in ("not a canonical IPv4 address", "cannot be used", "not known"))


@pytest.mark.parametrize("addresses", [["203.0.113.1"], ["169.254.169.254", "203.0.113.1"], ["fe80::1", "0.1.2.3"]])
async def test_a_name_that_leads_nowhere_allowed_is_refused_at_once(addresses: list[str]) -> None:
    with connections() as connected:
        outcome = await send("http://hooks.acme.com/", Targets(), addresses)

    assert connected == []
    assert outcome.final
    assert (outcome.error or "").startswith(f"refused: hooks.acme.com leads to {addresses[0]}, a")


@pytest.mark.parametrize("others", [["203.0.113.1"], ["169.254.169.254", "fe80::1"], ["::ffff:203.0.113.1"]])
@pytest.mark.parametrize("first", [True, False])
async def test_of_a_names_addresses_only_the_allowed_are_connected_to(
    sut: Receiver, others: list[str], first: bool
) -> None:
    addresses = ["127.0.0.1", *others] if first else [*others, "127.0.0.1"]
    with connections() as connected:
        outcome = await send(f"http://hooks.acme.com:{sut.port}/", Targets(), addresses)

    assert outcome.status == 200
    assert connected == [("127.0.0.1", sut.port)]


async def test_a_receiver_that_is_down_is_tried_again_though_another_of_its_addresses_is_refused() -> None:
    port = free_port()
    outcome = await send(f"http://hooks.acme.com:{port}/", Targets(), ["127.0.0.1", "203.0.113.1"])

    assert (outcome.error, outcome.final) == ("Connection refused", False)


async def test_a_name_that_leads_elsewhere_the_next_time_is_refused_then() -> None:
    with receiver(lambda handler, number: setattr(handler, "close_connection", True)) as server:
        rebinding = answers(["127.0.0.1"], ["169.254.169.254"])
        errors = []
        with connections() as connected:
            for _ in range(2):  # two processes' worth: a name's addresses are kept for some seconds
                transport = Transport(Targets().refusal, lookup=rebinding)
                outgoing = Outgoing("POST", f"http://hooks.acme.com:{server.port}/", (), b"", 5.0)
                errors.append((await transport.send(outgoing)).error)
                await transport.close()

    assert errors[0] == "the receiver closed the connection without an answer"
    assert (errors[1] or "").startswith("refused: hooks.acme.com leads to 169.254.169.254, a link-local address")
    assert connected == [("127.0.0.1", server.port)]


async def test_an_address_that_was_looked_up_before_is_checked_again_where_it_is_connected_to() -> None:
    """Addresses are kept for some seconds, and what may be connected to may change meanwhile."""
    allowed = True

    def refusal(host: str, port: int, address: str | None) -> str | None:
        return None if allowed or address is None else f"refused: {host} {address}"

    with receiver(answer(200, connection="close")) as server:
        transport = Transport(refusal, lookup=answers(["127.0.0.1"]))
        outgoing = Outgoing("POST", f"http://hooks.acme.com:{server.port}/", (), b"", 5.0)
        first = await transport.send(outgoing)
        allowed = False
        with connections() as connected:
            second = await transport.send(outgoing)
        await transport.close()

    assert first.status == 200
    assert (second.error, second.final) == ("refused: hooks.acme.com 127.0.0.1", True)
    assert connected == []


async def test_a_redirect_leads_nowhere() -> None:
    def moved(handler: Any, number: int) -> None:
        handler.send_response(302)
        handler.send_header("location", "http://169.254.169.254/latest/meta-data/")
        handler.send_header("content-length", "0")
        handler.end_headers()

    with receiver(moved) as server, connections() as connected:
        outcome = await send(server.url, Targets())

    assert (outcome.status, connected) == (302, [("127.0.0.1", server.port)])


async def test_an_opened_name_is_connected_to(sut: Receiver) -> None:
    """127.0.0.1 stands for a public address: nothing else is ever connected to here."""

    def refusal(host: str, port: int, address: str | None) -> str | None:
        return targets.refusal(host, port, address and "203.0.113.1")

    targets = parse_targets(["hooks.acme.com"])
    statuses = []
    for name in ("hooks.acme.com", "other.acme.com"):
        transport = Transport(refusal, lookup=answers(["127.0.0.1"]))
        outcome = await transport.send(Outgoing("POST", f"http://{name}:{sut.port}/", (), b"", 5.0))
        statuses.append(outcome.status)
        await transport.close()

    assert statuses == [200, None]


async def test_what_is_mapped_keeps_its_host_path_and_query(sut: Receiver) -> None:
    targets = parse_targets([f"https://hooks.acme.com={sut.url}"])
    with connections() as connected:
        outcome = await send("https://hooks.acme.com/a%2fb/../c?x=%20&y", targets)

    [request] = sut.requests
    assert outcome.status == 200
    assert (request.path, request.headers["host"]) == ("/a%2fb/../c?x=%20&y", "hooks.acme.com")
    assert connected == [("127.0.0.1", sut.port)]


@pytest.mark.parametrize(("name", "error"), [("hooks.acme.com", None), ("other.example", "TLS: ")])
async def test_tls_of_what_is_mapped_is_for_the_public_name(tmp_path: Path, name: str, error: str | None) -> None:
    shown = certificate(tmp_path, name)
    names: list[str | None] = []
    shown.context.sni_callback = lambda _, asked, __: names.append(asked)
    with receiver(tls=shown.context) as server:
        targets = parse_targets([f"https://hooks.acme.com=https://localhost:{server.port}"])
        outcome = await send("https://hooks.acme.com/hook", targets, ["127.0.0.1"], verify=Path(shown.ca).read_text())

        assert names[:1] == ["hooks.acme.com"]
        if error is None:
            assert outcome.status == 200
            assert server.requests[0].headers["host"] == "hooks.acme.com"
        else:
            assert (outcome.error or "").startswith(error)
            assert server.requests == []
