"""What a client sends in a tunnel is read request by request, however it is cut, and passes unchanged."""

import h2.connection
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from latehook.proxy.http1_messages import Responses, Unreadable
from latehook.proxy.sniffing import HTTP2_PREFACE, Kind
from latehook.proxy.tunnel_requests import Requests

HOST = b"Host: a.example\r\n"
BODY = b"GET / HTTP/1.1\r\nHost: not.example\r\n\r\n"
SOCKS: list[tuple[bytes, tuple[tuple[str, ...], ...]]] = [
    (b"\4\1\0\x50" + bytes([203, 0, 113, 7]) + b"me\0", (("203.0.113.7:80",),)),
    (b"\4\1\1\xbb\0\0\0\1\0e.example\0", (("e.example:443",),)),
    (b"\5\1\0" + b"\5\1\0\3\x09f.example\0\x50", ((), ("f.example:80",))),
    (b"\5\2\0\2" + b"\1\2me\6secret" + b"\5\3\0\4" + bytes(15) + b"\1\0\x50", ((), (), ("[::1]:80",))),
    (b"PROXY UNKNOWN\r\n" + b"\5\1\0" + b"\5\1\0\1" + bytes([203, 0, 113, 7]) + b"\0\x50", ((), ("203.0.113.7:80",))),
]
HTTP1: list[tuple[bytes, tuple[str, ...]]] = [
    (b"GET /a HTTP/1.1\r\n" + HOST + b"\r\n", ("a.example",)),
    (
        b"\r\nPOST http://b.example/ HTTP/1.1\r\nhost: c.example\r\ncontent-length: 0\r\n\r\n",
        ("c.example", "b.example"),
    ),
    (b"PUT / HTTP/1.1\n" + HOST + b"Content-Length: %d\n\n" % len(BODY) + BODY, ("a.example",)),
    (
        b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: gzip, Chunked\r\n\r\n"
        b"%x;name=value\r\n" % len(BODY) + BODY + b"\r\n1\n\n\n0\r\nHost: not.example\r\n\r\n",
        ("a.example",),
    ),
    (b"CONNECT d.example:443 HTTP/1.1\r\n\r\n", ("d.example:443",)),
    (b"PROXY UNKNOWN\r\nPUT / HTTP/1.1\r\n" + HOST + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY, ("a.example",)),
]


def read(requests: Requests, pieces: list[bytes]) -> tuple[list[tuple[str, ...]], bytes]:
    """Return the hosts of each request, and all that passes."""
    hosts, passed = [], b""
    for piece in pieces:
        requests.held += piece
        while requests.held and (opening := requests.read()).kind not in (Kind.PARTIAL, Kind.UNCLEAR):
            if opening.kind is not Kind.BODY:
                hosts.append(opening.hosts)
            passed += requests.take(opening)
    return hosts, passed


def cut(data: bytes, at: list[int]) -> list[bytes]:
    ends = sorted(position % (len(data) + 1) for position in at)
    return [data[start:end] for start, end in zip([0, *ends], [*ends, len(data)], strict=True)]


positions = st.lists(st.integers(0, 10_000), max_size=12)


@given(st.lists(st.sampled_from(HTTP1), min_size=1, max_size=6), positions)
@settings(max_examples=60, deadline=None)
def test_each_request_names_its_hosts_and_all_bytes_pass(
    requests: list[tuple[bytes, tuple[str, ...]]], at: list[int]
) -> None:
    sent = b"".join(data for data, _ in requests)

    assert read(Requests(), cut(sent, at)) == ([hosts for _, hosts in requests], sent)


@given(st.lists(st.sampled_from(SOCKS), min_size=1, max_size=3), positions)
def test_each_request_of_socks_names_its_host_and_what_follows_is_read(
    requests: list[tuple[bytes, tuple[tuple[str, ...], ...]]], at: list[int]
) -> None:
    sent = b"".join(data for data, _ in requests)
    expected = [hosts for _, several in requests for hosts in several]

    assert read(Requests(), cut(sent + HTTP1[0][0], at)) == ([*expected, ("a.example",)], sent + HTTP1[0][0])


@pytest.mark.parametrize(
    "said", [b"\4\0\0\0\5", b"\5\0\x0b", b"\4\1\0\x50abcd" + b"u" * 300, b"\5\1\0\7", b"\5\1\0\5\1\0\2"]
)
def test_what_only_begins_like_socks_passes(said: bytes) -> None:
    requests = Requests()

    assert read(requests, [said])[1] == said
    assert requests.are_over


@given(st.lists(st.sampled_from(["a.example", "b.example", "x" * 60 + ".example"]), min_size=1, max_size=5), positions)
@settings(max_examples=10, deadline=None)
def test_each_head_of_http2_names_its_host_and_all_bytes_pass(hosts: list[str], at: list[int]) -> None:
    client = h2.connection.H2Connection()
    client.initiate_connection()
    for number, host in enumerate(hosts):
        fields = [(":method", "POST"), (":scheme", "http"), (":authority", host), (":path", "/")]
        fields += [] if number == 1 else [("x", "y" * 20_000)]  # h2 puts a priority in front of a full frame
        client.send_headers(2 * number + 1, fields, priority_weight=16 if number == 1 else None)
        client.send_data(2 * number + 1, BODY, end_stream=True, pad_length=9)
    sent = client.data_to_send()

    assert read(Requests(), cut(sent, at)) == ([(host,) for host in hosts], sent)


def test_a_url_in_the_path_of_http2_names_its_host() -> None:
    client = h2.connection.H2Connection()
    client.initiate_connection()
    url = "http://b.example:81/x"
    client.send_headers(1, [(":method", "GET"), (":authority", "a.example"), (":path", url), (":scheme", "http")])

    assert read(Requests(), [client.data_to_send()])[0] == [("a.example", "b.example:81")]


def test_http2_that_names_no_host_yet_is_unclear_and_passes_if_the_client_waits() -> None:
    client = h2.connection.H2Connection()
    client.initiate_connection()
    requests = Requests()
    requests.held += client.data_to_send()

    opening = requests.read()

    assert opening.kind is Kind.UNCLEAR
    assert requests.take(opening).startswith(HTTP2_PREFACE)
    client.send_headers(1, [(":method", "GET"), (":authority", "a.example"), (":path", "/"), (":scheme", "http")])
    requests.held += client.data_to_send()
    assert requests.read().hosts == ("a.example",)


UNREADABLE = {
    "a length that is none": b"POST / HTTP/1.1\r\ncontent-length: 1x\r\n\r\n",
    "two lengths": b"POST / HTTP/1.1\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
    "a length and a coding": b"POST / HTTP/1.1\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n",
    "a length behind a blank": b"POST / HTTP/1.1\r\ncontent-length : 5\r\n\r\n",
    "a length behind a carriage return": b"POST / HTTP/1.1\r\nx: y\rcontent-length: 5\r\n\r\n",
    "a length on the next line": b"POST / HTTP/1.1\r\ncontent-length:\r\n 5\r\n\r\n",
    "a length on two lines": b"POST / HTTP/1.1\r\ncontent-length: 5\r\n\t5\r\n\r\n",
    "a coding behind another byte": b"POST / HTTP/1.1\r\ntransfer-encoding: \x0bchunked\r\n\r\n",
    "an unknown coding": b"POST / HTTP/1.1\r\ntransfer-encoding: chunked, x\r\n\r\n",
    "a chunk without a size": b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nx\r\n",
    "bytes behind a chunk": b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n1\r\nabc\r\n",
    "a head that does not unpack": HTTP2_PREFACE + b"\0\0\1\1\4\0\0\0\1\xff",
    "a head that another frame cuts": HTTP2_PREFACE + b"\0\0\1\1\0\0\0\0\1\x82" + b"\0\0\0\0\0\0\0\0\1",
    "more padding than bytes": HTTP2_PREFACE + b"\0\0\2\1\x0c\0\0\0\1\x09\x82",
    "a promise of a client": HTTP2_PREFACE + b"\0\0\0\5\0\0\0\0\1",
}


@pytest.mark.parametrize("what", UNREADABLE)
def test_a_request_whose_end_cannot_be_told_is_an_error(what: str) -> None:
    with pytest.raises(Unreadable):
        read(Requests(), [UNREADABLE[what]])


OK = b"HTTP/1.1 200 OK\r\n"
ANSWERED: list[tuple[list[bytes], bytes]] = [
    ([b"GET"], OK + b"content-length: 3\r\n\r\nabc"),
    ([b"GET"], b"HTTP/1.1 103 \r\n\r\n" + OK + b"content-length: 0\r\n\r\n"),
    ([b"head", b"GET"], OK + b"content-length: 3\r\n\r\nHTTP/1.1 304 Not Modified\r\ncontent-length: 3\r\n\r\n"),
    ([b"POST", b"GET"], OK + b"transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\nHTTP/1.1 204 \r\n\r\n"),
    ([b"CONNECT"], OK + b"\r\n\x16\x03"),
]


@pytest.mark.parametrize(("methods", "data"), ANSWERED)
@pytest.mark.parametrize("size", [1, 5, 1000])
def test_responses_are_due_until_the_last_byte_of_the_last_one(methods: list[bytes], data: bytes, size: int) -> None:
    responses = Responses()
    for method in methods:
        responses.expect(method)
    due = []
    for at in range(0, len(data), size):
        due.append(responses.are_due)
        responses.read(data[at : at + size])

    assert all(due[: -2 if methods == [b"CONNECT"] else None])
    assert not responses.are_due and not responses.are_unreadable


@pytest.mark.parametrize(
    ("data", "unreadable"),
    [
        (OK + b"\r\nabc", False),  # up to the end of the connection
        (b"ICY 200 OK\r\n\r\n", True),
        (b"HTTP/1.1 101 Switching\r\n\r\n", True),
        (OK + b"transfer-encoding: chunked\r\n\r\nx\r\n", True),
        (b"x" * 300_000, True),
    ],
)
def test_a_response_without_an_end_stays_due(data: bytes, unreadable: bool) -> None:
    responses = Responses()
    responses.expect(b"GET")

    responses.read(data)

    assert (responses.are_due, responses.are_unreadable) == (True, unreadable)
