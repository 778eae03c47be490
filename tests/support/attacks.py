"""Random hostile requests, reproducible by their seed, as bytes for HTTP/1 and header lists for HTTP/2."""

import gzip
import json
import random
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import brotli
import zstandard

MB = 1024 * 1024
Field = tuple[bytes, bytes]


@dataclass(frozen=True)
class AttackRequest:
    """A hostile request that is valid HTTP. `family` names the function that made it."""

    family: str
    method: bytes = b"POST"
    path: bytes = b"/json"
    headers: list[Field] = field(default_factory=list)
    body: bytes = b""

    def over_http1(self, host: bytes, absolute: bool) -> bytes:
        """Return the bytes of the request. A request to a proxy has an absolute target."""
        target = b"http://" + host + self.path if absolute else self.path
        fields = [(b"host", host), *self.headers, (b"content-length", b"%d" % len(self.body))]
        lines = [self.method + b" " + target + b" HTTP/1.1", *(name + b": " + value for name, value in fields)]
        return b"\r\n".join(lines) + b"\r\n\r\n" + self.body

    def over_http2(self, host: bytes) -> list[Field]:
        """Return the header list."""
        pseudo = [(b":method", self.method), (b":scheme", b"https"), (b":authority", host), (b":path", self.path)]
        return [*pseudo, *((name.lower(), value) for name, value in self.headers)]


Family = Callable[[random.Random], AttackRequest]


def _of_type(kind: str) -> list[Field]:
    return [(b"content-type", kind.encode("latin-1"))]


def _json(chance: random.Random, body: bytes, kind: str = "application/json") -> AttackRequest:
    return AttackRequest(
        "json", path=chance.choice([b"/json", b"/text", b"/echo", b"/form"]), headers=_of_type(kind), body=body
    )


def broken_json(chance: random.Random) -> AttackRequest:
    sound = json.dumps({"id": chance.random(), "to": "http://a.test/", "items": [None, True, {"a": "é"}]}).encode()
    body = bytearray(sound[: chance.randint(0, len(sound))])
    for _ in range(chance.randint(0, 4)):
        body.insert(chance.randint(0, len(body)), chance.randrange(256))
    return _json(chance, bytes(body))


def deep_json(chance: random.Random) -> AttackRequest:
    depth = chance.choice([100, 999, 5000, 100_000])
    start, end = chance.choice([(b"[", b"]"), (b'{"a":', b"}")])
    return _json(chance, start * depth + chance.choice([b"1", b""]) + end * chance.choice([depth, 0]))


def odd_values(chance: random.Random) -> AttackRequest:
    """Numbers over 64 bits, lone surrogates, NUL, invalid JSON, unusable ids and URLs."""
    long = "x" * chance.choice([1001, 20_000])
    value = chance.choice(
        [
            *("1" + "0" * 30, "-" + "9" * 25, "1" * 5000, "1e999", "NaN", "-Infinity", "18446744073709551616"),
            *('"\\ud800"', '"\\udc00\\ud800"', '"\\u0000"', '"a\\r\\nset-cookie: b"', f'"{long}"', f'["{long}"]'),
            *(
                '["http://a.test/"]',
                "[[]]",
                "{}",
                f'"http://a.test/{long}"',
                '"http://[::1"',
                '"http://a:99999/"',
                '" "',
            ),
            f"[{','.join(['null'] * 1500)}]",
        ]
    )
    return _json(chance, f'{{"{chance.choice(["id", "n", "name", "to", "key"])}": {value}}}'.encode())


def wrong_charset(chance: random.Random) -> AttackRequest:
    charset = chance.choice(
        [
            *("utf-7", "utf-16", "utf-32", "punycode", "idna", "unicode_escape", "hex", "zip", "rot13", "undefined"),
            *(
                "x" * 5000,
                "../../etc",
                "a\0b",
                '"',
                "é",
                "utf-8; charset=utf-16",
                "big5",
                "mbcs",
                f"none-{chance.random()}",
            ),
        ]
    )
    return _json(chance, chance.randbytes(chance.randint(0, 300)), f"application/json; charset={charset}")


_COMPRESSED = {
    b"gzip": gzip.compress(bytes(20 * MB)),
    b"deflate": zlib.compress(bytes(20 * MB)),
    b"br": brotli.compress(bytes(20 * MB), quality=5),
    b"zstd": zstandard.compress(bytes(20 * MB)),
}


def bomb(chance: random.Random) -> AttackRequest:
    """Compressed bodies: 20 MB when unpacked, truncated, nested, with 20,000 members, or with a wrong content-encoding."""
    coding = chance.choice(list(_COMPRESSED))
    body = _COMPRESSED[coding]
    match chance.randrange(5):
        case 0:
            body = body[: chance.randint(0, len(body))]
        case 1:
            coding, body = b"gzip, gzip", gzip.compress(_COMPRESSED[b"gzip"])
        case 2:
            coding, body = b"gzip", gzip.compress(b"") * 20_000
        case 3:
            coding = chance.choice([b"gzip, " * 500, b"lzma", b"\xff", b"x" * 3000, b", ,"])
    hostile = _json(chance, body)
    return replace(hostile, headers=[*hostile.headers, (b"content-encoding", coding)])


def absurd_multipart(chance: random.Random) -> AttackRequest:
    boundary = chance.choice(
        [b"b", b"b", b"b", b"", b"b" * 300, b"\xe9\xff", b"\xc4\x80", b'"', b'"b', b"b; b=c; b=" * 99]
    )
    name = chance.choice([b"a", b"a[b]" + b"[c]" * 500, b"", b'"', b"\xff", b"a" * 5000])
    head = chance.choice(
        [
            b'content-disposition: form-data; name="' + name + b'"',
            b'content-disposition: form-data; filename="' + name + b'"; name=a',
            b"content-disposition: form-data" + b"; a=b" * 900,
            *(b"x: y", b"", b": y", b"\0", b"x" * 9000, b"x: y\r\n" * 50),
        ]
    )
    part = b"--" + boundary + b"\r\n" + head + b"\r\n\r\n1\r\n"
    body = part * chance.choice([1, 3, 2000 if len(part) < 100 else 10])
    body += chance.choice([b"", b"--" + boundary + b"--\r\n", b"\r\n--" * 1000, chance.randbytes(50)])
    kind = b"multipart/form-data" + chance.choice([b"; boundary=", b";boundary=", b"; BOUNDARY=", b"; x="]) + boundary
    path = chance.choice([b"/form", b"/echo"])
    return AttackRequest("multipart", path=path, headers=[(b"content-type", kind)], body=body)


def absurd_form(chance: random.Random) -> AttackRequest:
    body = chance.choice(
        [
            *(b"a=1&" * 20_000, b"&" * 5000, b"=" * 5000, b"a%" * 500, b"%00=%ff&%", b"a[b][c]=1&a[b]=2&a=3&a[]=4"),
            *(
                b"a" + b"[b]" * 20_000 + b"=1",
                b"[" * 9000,
                b"a[" * 9000 + b"=1",
                b"\xff=\xfe&\0=1",
                chance.randbytes(500),
            ),
        ]
    )
    return AttackRequest("form", path=b"/form", headers=_of_type("application/x-www-form-urlencoded"), body=body)


def odd_path(chance: random.Random) -> AttackRequest:
    path = chance.choice(
        [
            *(
                b"/things/%00-%ff/%c0%af.json",
                b"/things/" + b"-" * 20_000 + b"/1.json",
                b"/" * 5000,
                b"/%",
                b"//a",
                b"/../..;/x",
            ),
            *(
                b"/jobs/%00",
                b"/jobs/%ed%a0%80",
                b"/jobs/" + b"a" * 5000,
                b"/jobs/%f0%9f%92%a9",
                b"/echo?" + b"a=1&" * 3000,
            ),
            *(b"/echo?%=%%&&&=", b"/echo?a[b]=1&\xff=\xfe", b"/json?x=" + b"%" * 900, b"/\xc3\xa9\xff", b"/*", b"*"),
        ]
    )
    return AttackRequest("path", chance.choice([b"GET", b"POST", b"DELETE", b"HEAD"]), path)


def odd_headers(chance: random.Random) -> AttackRequest:
    name = chance.choice(
        [b"x-a", b"cookie", b"referer", b"content-type", b"accept", b"x" * 900, b"expect", b"upgrade", b"te"]
    )
    value = chance.choice(
        [
            b"",
            b"\xff\xfe",
            b"a" * 10_000,
            b"\t",
            b"websocket",
            b"100-continue",
            b"a, " * 900,
            bytes(range(128, 256)),
            b"h2c",
        ]
    )
    many = chance.choice([1, 1, 1, 500])
    method = chance.choice(
        [b"GET", b"POST", b"OPTIONS", b"TRACE", b"LOCK", b"X" * chance.choice([9, 3000]), b"get", b"M-SEARCH"]
    )
    return AttackRequest("headers", method, b"/echo", [(name, value)] * (many if len(value) < 20 else 1))


def huge_head(chance: random.Random) -> AttackRequest:
    headers = chance.choice(
        [[(b"x-long", b"a" * 70_000)], [(b"x-%d" % n, b"1") for n in range(2100)], [(b"a", b"")] * 5000]
    )
    return AttackRequest("huge head", path=b"/echo", headers=headers)


def noise(chance: random.Random) -> AttackRequest:
    kind = chance.choice(
        ["application/json", "text/plain", "multipart/form-data; boundary=b", "image/png", "/", ";", "\xff"]
    )
    body = chance.randbytes(chance.choice([0, 1, 100, 5000, 200_000]))
    return AttackRequest(
        "noise", path=chance.choice([b"/json", b"/text", b"/form", b"/echo"]), headers=_of_type(kind), body=body
    )


FAMILIES: tuple[Family, ...] = (
    *(broken_json, deep_json, odd_values, odd_values, wrong_charset, absurd_multipart, absurd_form),
    *(odd_path, odd_headers, noise, broken_json, odd_headers, odd_path),
)

RARE: dict[int, Family] = {33: bomb, 66: bomb, 99: huge_head}
"""The expensive families, by their position in each hundred requests."""


def requests(seed: int, count: int) -> Iterator[AttackRequest]:
    """Yield `count` requests, one of each family in turn."""
    chance = random.Random(seed)
    for number in range(count):
        yield RARE.get(number % 100, FAMILIES[number % len(FAMILIES)])(chance)


def broken_http1(seed: int, count: int, host: bytes, absolute: bool) -> Iterator[bytes]:
    """Yield invalid or incomplete HTTP/1 requests. None of them names a host other than `host`."""
    chance = random.Random(seed)
    target = b"http://" + host + b"/json" if absolute else b"/json"
    line, named = b"POST " + target + b" HTTP/1.1\r\n", b"host: " + host + b"\r\n"
    chunked = line + named + b"transfer-encoding: chunked\r\n\r\n"
    for _ in range(count):
        head = bytearray(named + b"x-a: 1\r\ncontent-length: 5\r\n\r\n12345")
        for _ in range(chance.randint(1, 5)):
            head.insert(chance.randint(len(named), len(head)), chance.choice(b"\0\r\n: \xff\x80\t;,%"))
        yield chance.choice(
            [
                line + bytes(head),
                (line + bytes(head))[: chance.randint(1, len(line) + len(head))],
                chance.randbytes(chance.randint(1, 200)),
                *(
                    b"\0" * 50,
                    b"\r\n" * 500,
                    b"GET\r\n\r\n",
                    b"GET  \r\n\r\n",
                    b"GET / HTTP/9.9\r\n\r\n",
                    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
                ),
                *(
                    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + chance.randbytes(80),
                    b"\x05\x01\x00",
                    b"CONNECT :0 HTTP/1.1\r\n\r\n",
                ),
                line + named * 2 + b"\r\n",
                line + named + b"content-length: -1\r\n\r\n",
                line + named + b"content-length: 5, 6\r\n\r\n12345",
                line + named + b"content-length: 1\r\ncontent-length: 2\r\n\r\n12",
                line + named + b"content-length: " + b"9" * 400 + b"\r\n\r\n",
                line + named + b"content-length: 3\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
                line + named + b"transfer-encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
                line + named + b" folded\r\n\tmore\r\n\r\n",
                line.replace(b"\r", b"") + named.replace(b"\r", b"") + b"\n",
                *(
                    chunked + b"zz\r\n",
                    chunked + b"-1\r\n",
                    chunked + b"f" * 30 + b"\r\n",
                    chunked + b"3\r\nabcdef\r\n",
                ),
                *(
                    chunked + b"1;" + b"a" * 500 + b"\r\nx\r\n0\r\n\r\n",
                    chunked + b"0\r\nno colon\r\n\r\n",
                    chunked + b"5\r\nab",
                ),
                chunked + b"0\r\n" + b"x-trailer: 1\r\n" * 50 + b"\r\n",
            ]
        )
