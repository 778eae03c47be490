"""The shortcuts give what mitmproxy gives: a head that is read, a response that is made."""

from typing import Any

import pytest
from h11._receivebuffer import ReceiveBuffer
from hypothesis import example, given, settings
from hypothesis import strategies as st
from mitmproxy import http
from mitmproxy.net.http import http1

from latehook.proxy import fast
from latehook.proxy.fast import LARGEST_PLAIN_HEAD, read_head


def by_mitmproxy(unread: bytes) -> tuple[dict[str, Any], bytes, int | None] | None:
    """What mitmproxy's own reader makes of the same bytes: fields, what is left, size of the body; None for no head."""
    buffer = ReceiveBuffer()
    buffer += unread
    lines = buffer.maybe_extract_lines()
    if not lines:
        return None
    try:
        request = http1.read_request_head([bytes(line) for line in lines])
        return {**vars(request.data), "timestamp_start": None}, bytes(buffer), http1.expected_http_body_size(request)
    except ValueError:
        return None


def by_us(unread: bytes) -> tuple[dict[str, Any], bytes, int | None] | None:
    head = read_head(unread)
    if head is None:
        return None
    return {**vars(head.request.data), "timestamp_start": None}, unread[head.size :], head.body_size


AUTHORITIES = (b"a.example", b"a.example:8080", b"A.Example", b"[::1]:80", b"127.0.0.1", b"a_b.example")
PLAIN_PARTS = {
    "method": (b"GET", b"POST", b"QUERY"),
    "blank": (b" ",),
    "origin": (b"", *(b"http://" + authority for authority in AUTHORITIES), b"https://a.example"),
    "path": (b"/", b"/jobs?a=b#c", b"/{id}:cancel", b"//[x", b"/%zz;p=1"),
    "version": (b"HTTP/1.1", b"HTTP/1.0"),
    "line": (b"host: a.example", b"X-A:b", b"content-length: 3", b"x: \x0b y \t", b"x:", b"x: \xff", b"x y: z"),
    "end": (b"\r\n\r\n", b"\r\n\r\nabc", b"\r\n\r\nGET / HTTP/1.1\r\n\r\n"),
}
ODD_PARTS = {
    "method": (b"CONNECT", b"get", b"M-SEARCH", b"", b"\r\nGET", b"\nGET", b" GET"),
    "blank": (b"  ", b"\t", b"\x0b", b""),
    "origin": (
        *(b"HTTP://a.example", b"ftp://a.example", b"ws://a.example", b"a.example", b"http://", b"http://:80"),
        *(b"http://u@a.example", b"http://a..example", b"http://a.example:0", b"http://a.example:99999"),
        *(b"http://" + b"x" * 70, b"http://\xc3\xa9.example", b"http://a.example?x", b"http://a\x85.example"),
    ),
    "path": (b"*", b"", b"?x", b"/a b", b"/\xe9", b"/\x7f", b"/\x00", b"/a\nb"),
    "version": (b"HTTP/2.0", b"HTTP/11", b"HTTP/1.2", b"", b"HTTP/1.1 ", b"HTTP/1.1\r"),
    "line": (
        *(
            b" folded: x",
            b"\tfolded",
            b": nameless",
            b"no colon",
            b"",
            b"a\nb: c",
            b"a: b\n",
            b"x\r: y",
            b"\r",
            b"\x0bx: y",
        ),
        *(b"transfer-encoding: chunked", b"transfer-encoding: gzip", b"content-length: 03", b"content-length: x"),
        *(b"content-length: 3, 3", b"content-length: 4", b"Content-Length: -1"),
    ),
    "end": (b"\n\n", b"\n\r\nabc", b"\r\n\n", b"\r\n", b"\n\r\n\r\n", b"\r\n\r"),
}


@st.composite
def heads(draw: st.DrawFn) -> bytes:
    """Heads as clients send them, with no more than two parts that they do not send."""
    odd = draw(st.lists(st.sampled_from([*ODD_PARTS, "line", "line"]), max_size=2))

    def part(name: str) -> bytes:
        return draw(st.sampled_from(ODD_PARTS[name] if name in odd else PLAIN_PARTS[name]))

    first = part("method") + part("blank") + part("origin") + part("path") + part("blank") + part("version")
    lines = [draw(st.sampled_from(PLAIN_PARTS["line"])) for _ in range(draw(st.integers(0, 3)))]
    if "line" in odd:
        lines.insert(draw(st.integers(0, len(lines))), part("line"))
    return b"\r\n".join((first, *lines)) + part("end")


@settings(max_examples=300, deadline=None)
@example(b"\r\nGET / HTTP/1.1\r\n\r\n")
@example(b"CONNECT http://a.example/ HTTP/1.1\r\n\r\n")
@given(heads())
def test_what_is_read_here_mitmproxy_reads_alike(unread: bytes) -> None:
    read = by_us(unread)
    assert read is None or read == by_mitmproxy(unread)


@pytest.mark.parametrize("authority", AUTHORITIES)
@pytest.mark.parametrize(
    "rest",
    [
        b"/jobs?a=b HTTP/1.1\r\nHost: a.example\r\nUser-Agent: curl/8\r\nAccept: */*\r\nContent-Length: 2\r\n\r\n{}",
        b"/ HTTP/1.0\r\n\r\n",
        b"/jobs HTTP/1.1\r\nhost: a.example\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n",
    ],
)
def test_what_clients_send_is_read_here(authority: bytes, rest: bytes) -> None:
    for unread in (b"POST http://" + authority + rest, b"POST " + rest):
        assert by_us(unread) == by_mitmproxy(unread) is not None


def test_a_head_that_is_long_or_has_not_ended_is_left_to_mitmproxy() -> None:
    head = b"GET / HTTP/1.1\r\nx: " + b"y" * LARGEST_PLAIN_HEAD
    assert read_head(head + b"\r\n\r\n") is None
    assert read_head(b"GET / HTTP/1.1\r\nhost: a.example\r\n") is None
    assert read_head(b"") is None


@pytest.mark.parametrize("body", [b"", b"{}"])
def test_a_response_is_made_as_mitmproxy_makes_it(body: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    headers = [(b"content-type", b"application/json")]

    monkeypatch.setattr(fast, "ENABLED", True)
    made = fast.make_response(201, "Created", headers, body)
    monkeypatch.setattr(fast, "ENABLED", False)
    real = fast.make_response(201, "Created", headers, body)

    now = {"timestamp_start": 1.0, "timestamp_end": 1.0}
    assert {**vars(made.data), **now} == {**vars(real.data), **now}
    assert {**vars(made), "data": None} == {**vars(real), "data": None}
    assert (type(made), type(made.data)) == (type(real), type(real.data))


def test_a_request_that_is_read_has_the_attributes_of_mitmproxys() -> None:
    head = b"POST http://a.example/jobs HTTP/1.1\r\nhost: a.example\r\ncontent-length: 2\r\n\r\n"

    read = read_head(head)
    real = http1.read_request_head(head.splitlines()[:-1])

    assert read is not None
    assert {**vars(read.request), "data": None} == {**vars(real), "data": None}
    assert (type(read.request), type(read.request.data)) == (type(real), type(real.data))


FIELDS = [(b"Accept", b"a"), (b"X-\xff", b"\xff"), (b"accept", b"b, c"), (b"Empty", b""), (b"Host", b"a.example")]


@pytest.mark.parametrize("name", ["accept", "ACCEPT", b"Accept", "empty", b"HOST", "X-\udcff", "missing", ""])
def test_headers_are_looked_up_as_mitmproxy_does(name: str | bytes) -> None:
    made: Any = fast.make_response(200, "OK", FIELDS, b"").headers
    real: Any = http.Headers(FIELDS)

    assert made.get_all(name) == real.get_all(name)
    assert made.get(name) == real.get(name)
    assert made.get(name, "default") == real.get(name, "default")
    assert (name in made) == (name in real)
    assert made.copy() == real.copy() == made
    for headers in (made, real):
        headers.setdefault(name, "new")
        headers["accept"] = "changed"
        headers.pop("host")
    assert made.fields == real.fields
    assert made["accept"] == real["accept"] == "changed"


def test_without_shortcuts_every_head_is_left_to_mitmproxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fast, "ENABLED", False)

    assert read_head(b"GET / HTTP/1.1\r\nhost: a.example\r\n\r\n") is None
