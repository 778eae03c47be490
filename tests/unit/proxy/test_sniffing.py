"""The first bytes of a connection: what they are, and which hosts they name. What is cut off is never taken for whole."""

import ssl
import struct

import pytest

from latehook.proxy.sniffing import Kind, Opening, authority, hosts_in_head, read_opening

HEAD = b"POST /jobs HTTP/1.1\r\nHost: api.slow.example\r\ncontent-length: 0\r\n\r\n"


def client_hello(name: str | None, alpn: list[str] | None = None) -> bytes:
    """Return the first bytes of a TLS client."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if alpn:
        context.set_alpn_protocols(alpn)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    with pytest.raises(ssl.SSLWantReadError):
        context.wrap_bio(incoming, outgoing, server_hostname=name).do_handshake()
    return outgoing.read()


def in_records(hello: bytes, size: int, minor: int = 1) -> bytes:
    """Return the same handshake in records of `size` bytes, of TLS 1.`minor - 1`."""
    message = hello[5:]
    pieces = (message[at : at + size] for at in range(0, len(message), size))
    return b"".join(struct.pack(">BBBH", 22, 3, minor, len(piece)) + piece for piece in pieces)


def with_extension(hello: bytes, kind: int, body: bytes) -> bytes:
    """Return a ClientHello in one record with one more extension."""
    message = hello[9:]
    at = 34 + 1 + message[34]  # version, random, session id
    at += 2 + int.from_bytes(message[at : at + 2])  # cipher suites
    at += 1 + message[at]  # compression methods
    extensions = message[at + 2 :] + struct.pack(">HH", kind, len(body)) + body
    message = message[:at] + struct.pack(">H", len(extensions)) + extensions
    message = b"\x01" + len(message).to_bytes(3) + message
    return struct.pack(">BBBH", 22, 3, 1, len(message)) + message


NAMED = client_hello("api.slow.example", ["h2", "http/1.1"])

V1 = b"PROXY TCP4 192.0.2.1 203.0.113.7 56324 443\r\n"
V2 = b"\r\n\r\n\0\r\nQUIT\n"
V2_IPV4 = V2 + b"\x21\x11\0\x0c" + bytes([192, 0, 2, 1, 203, 0, 113, 7, 0xDC, 4, 1, 0xBB])


def with_authority(name: bytes) -> bytes:
    """Return a header of version 2 for IPv6 with a checksum, a host's name and no operation."""
    fields = b"\3\0\4abcd" + b"\2" + struct.pack(">H", len(name)) + name + b"\4\0\1x"
    return V2 + b"\x21\x21" + struct.pack(">H", 36 + len(fields)) + bytes(36) + fields


WHOLE: dict[str, tuple[bytes, Opening]] = {
    "HTTP behind PROXY 1": (V1 + HEAD, Opening(Kind.HTTP1, ("api.slow.example",), len(V1))),
    "TLS behind PROXY 1": (V1 + NAMED, Opening(Kind.TLS, ("api.slow.example",), len(V1))),
    "HTTP behind PROXY 1, unknown": (b"PROXY UNKNOWN\r\n" + HEAD, Opening(Kind.HTTP1, ("api.slow.example",), 15)),
    "HTTP/2 behind PROXY 1, without CR": (
        V1.replace(b"\r", b"") + b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        Opening(Kind.HTTP2, (), len(V1) - 1),
    ),
    "HTTP behind PROXY 2": (V2_IPV4 + HEAD, Opening(Kind.HTTP1, ("api.slow.example",), len(V2_IPV4))),
    "TLS behind PROXY 2, of the balancer itself": (
        V2 + b"\x20\0\0\0" + NAMED,
        Opening(Kind.TLS, ("api.slow.example",), 16),
    ),
    "HTTP behind PROXY 2 with a name": (
        with_authority(b"b.example") + HEAD,
        Opening(Kind.HTTP1, ("b.example", "api.slow.example"), len(with_authority(b"b.example"))),
    ),
    "HTTP behind PROXY 2 and 1": (V2_IPV4 + V1 + HEAD, Opening(Kind.HTTP1, ("api.slow.example",), len(V2_IPV4 + V1))),
    "a method of this name": (HEAD.replace(b"POST", b"PROXY"), Opening(Kind.HTTP1, ("api.slow.example",))),
    "HTTP": (HEAD, Opening(Kind.HTTP1, ("api.slow.example",))),
    "a method in lower case": (HEAD.replace(b"POST", b"post"), Opening(Kind.HTTP1, ("api.slow.example",))),
    "a method of its own": (HEAD.replace(b"POST", b"X-Frob"), Opening(Kind.HTTP1, ("api.slow.example",))),
    "empty lines in front": (b"\r\n\n\r\n" + HEAD, Opening(Kind.HTTP1, ("api.slow.example",))),
    "lines without CR": (HEAD.replace(b"\r", b""), Opening(Kind.HTTP1, ("api.slow.example",))),
    "tabs and spaces": (b"GET \t /a HTTP/1.1\r\nhOST :\t a.example \r\n\r\n", Opening(Kind.HTTP1, ("a.example",))),
    "a folded header": (b"GET / HTTP/1.1\r\nHost:\r\n a.example\r\n\r\n", Opening(Kind.HTTP1, ("a.example",))),
    "two Host headers": (
        b"GET / HTTP/1.1\r\nHost: a.example\r\nx: y\r\nHost: b.example:81\r\n\r\n",
        Opening(Kind.HTTP1, ("a.example", "b.example:81")),
    ),
    "an absolute URL": (
        b"GET HTTP://b.example:81/x HTTP/1.1\r\nHost: a.example\r\n\r\n",
        Opening(Kind.HTTP1, ("a.example", "b.example:81")),
    ),
    "a URL of another scheme": (
        b"GET wss://b.example/x HTTP/1.1\r\nHost: a.example\r\n\r\n",
        Opening(Kind.HTTP1, ("a.example", "b.example")),
    ),
    "a carriage return alone": (
        b"GET / HTTP/1.1\r\nx: y\rHost: a.example\r\n\r\n",
        Opening(Kind.HTTP1, ("a.example",)),
    ),
    "no host": (b"GET /host:a.example HTTP/1.0\r\nx-host: a.example\r\n\r\n", Opening(Kind.HTTP1)),
    "a body with a Host line": (
        b"POST / HTTP/1.1\r\nHost: a.example\r\n\r\nHost: b.example\r\n",
        Opening(Kind.HTTP1, ("a.example",)),
    ),
    "HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Opening(Kind.HTTP2)),
    "TLS": (NAMED, Opening(Kind.TLS, ("api.slow.example",))),
    "TLS without a name": (client_hello(None), Opening(Kind.TLS)),
    "TLS in records of a byte": (in_records(NAMED, 1), Opening(Kind.TLS, ("api.slow.example",))),
    "TLS in records of 3 bytes": (in_records(NAMED, 3), Opening(Kind.TLS, ("api.slow.example",))),
    "TLS in records of 100 bytes": (in_records(NAMED, 100), Opening(Kind.TLS, ("api.slow.example",))),
    "TLS in records of another version": (in_records(NAMED, 5000, 9), Opening(Kind.TLS, ("api.slow.example",))),
    "TLS with GREASE": (with_extension(NAMED, 0x0A0A, b"\0"), Opening(Kind.TLS, ("api.slow.example",))),
    "TLS with an encrypted ClientHello": (
        with_extension(NAMED, 0xFE0D, b"\0\0\1\0\1\7\0\x20" + b"k" * 32 + b"\0\x10" + b"e" * 16),
        Opening(Kind.TLS, ("api.slow.example",)),
    ),
}


@pytest.mark.parametrize("what", WHOLE)
def test_a_whole_opening_names_its_hosts(what: str) -> None:
    data, opening = WHOLE[what]

    assert read_opening(data) == opening


@pytest.mark.parametrize("what", WHOLE)
def test_the_beginning_of_an_opening_is_waited_for_wherever_it_is_cut(what: str) -> None:
    data, opening = WHOLE[what]
    end = data.find(b"\r\n\r\nHost:") + 4 if "a body" in what else len(data)

    kinds = {read_opening(data[:at]).kind for at in range(1, end)}

    assert kinds <= {Kind.PARTIAL, Kind.UNCLEAR}
    assert opening.kind not in kinds


@pytest.mark.parametrize("front", [V1, V2_IPV4])
def test_a_proxy_header_is_waited_for_without_a_limit_of_time_and_then_what_follows(front: bytes) -> None:
    kinds = [read_opening(front[:at]).kind for at in range(1, len(front) + 1)]

    assert kinds[-1] is Kind.UNCLEAR  # the server may speak first
    assert set(kinds[4:-1]) == {Kind.PARTIAL}
    assert read_opening(front + b"SSH-2.0-x\r\n") == Opening(Kind.OTHER, (), len(front))


@pytest.mark.parametrize("at", range(1, len(HEAD)))
def test_a_usual_method_is_waited_for_without_a_limit_of_time(at: int) -> None:
    assert read_opening(HEAD[:at]).kind is Kind.PARTIAL


OTHER = {
    "SSH": b"SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3\r\n",
    "SMTP": b"EHLO client.example\r\n",
    "IMAP": b"a1 LOGIN me secret\r\n",
    "FTP": b"USER anonymous\r\n",
    "Redis": b"*1\r\n$4\r\nPING\r\n",
    "Redis, inline": b"PING\r\n",
    "memcached": b"get key\r\n",
    "SIP": b"INVITE sip:bob@biloxi.example SIP/2.0\r\n",
    "HTTP/0.9": b"GET /page\r\n",
    "PostgreSQL": b"\0\0\0\x08\x04\xd2\x16\x2f",
    "MySQL": b"\x20\0\0\x01\x85\xae\x03\0",
    "MongoDB": b"\x3a\0\0\0\x01\0\0\0",
    "LDAP": b"0\x0c\x02\x01\x01\x60\x07",
    "AMQP": b"AMQP\0\0\x09\x01",
    "MQTT": b"\x10\x10\0\x04MQTT",
    "Kafka": b"\0\0\0\x23\0\x12\0\3",
    "DNS": b"\0\x1c\xbe\xef\1\0\0\1",
    "a long word": b"x" * 41,
    "PROXY of another version": V2 + b"\x31\x11\0\x0c",
    "PROXY of another family": b"PROXY UDP4 1 2 3 4\r\n",
    "TLS that is broken": b"\x16\x03\x01\0\x04\x02\0\0\0",
    "TLS with something else inside": b"\x16\x03\x01\0\x06\x01\0\0\x02\3\3",
    "an alert after a piece of TLS": b"\x16\x03\x01\0\x02\x01\0\x15\x03\x01\0\x02\x02\x28",
}


@pytest.mark.parametrize("what", OTHER)
def test_other_protocols_are_not_held(what: str) -> None:
    assert read_opening(OTHER[what]) == Opening(Kind.OTHER)


LENIENT = {
    "blanks in front": b" \t" + HEAD,
    "other blanks": HEAD.replace(b" ", b"\x0c"),
    "a long method": b"x" * 60 + HEAD,
    "a method with a quote": b'"' + HEAD,
    "a method in UTF-8": b"\xc3\x84" + HEAD,
}


@pytest.mark.parametrize("what", LENIENT)
def test_what_only_lenient_servers_take_for_http_names_its_hosts(what: str) -> None:
    assert read_opening(LENIENT[what]) == Opening(Kind.HTTP1, ("api.slow.example",))


@pytest.mark.parametrize(
    "line", [b"GET http://a.example/page\r\n", b"OPTIONS rtsp://a.example RTSP/1.0\r\nCSeq: 1\r\n"]
)
def test_a_url_without_the_version_of_http_names_its_host(line: bytes) -> None:
    assert read_opening(line) == Opening(Kind.OTHER, ("a.example",))


@pytest.mark.parametrize("data", [b"hello", b"hello world", b"\r\n", b"EHLO clie", b"\0", b"PROXY TCP4 " + b"1" * 100])
def test_what_may_be_whole_without_being_http_is_unclear(data: bytes) -> None:
    assert read_opening(data) == Opening(Kind.UNCLEAR)


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("a.example", "a.example", None),
        ("a.example:81", "a.example", 81),
        ("user:secret@a.example:81", "a.example", 81),
        ("[::1]:81", "::1", 81),
        (" a.example\t", "a.example", None),
        ("a.example:x", "a.example:x", None),
        ("a" * 400 + ".example", "a" * 400 + ".example", None),
    ],
)
def test_an_authority(text: str, host: str, port: int | None) -> None:
    assert authority(text) == (host, port)


def test_the_hosts_of_a_head_that_is_cut_off() -> None:
    assert hosts_in_head(b"GET http://a.example/ HTTP/1.1\r\nx: y\r\nHost: b.exam") == ["b.exam", "a.example"]
    assert hosts_in_head(b"GET http://a.exam") == ["a.exam"]
