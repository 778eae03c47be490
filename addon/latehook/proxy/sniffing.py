"""Which host a client names: in what comes first of it, in a request's head, in a Host header."""

import functools
import re

from mitmproxy.net.http import url
from mitmproxy.net.tls import starts_like_tls_record
from mitmproxy.proxy.layers.tls import parse_client_hello

LONGEST_HOST = 300
"""Characters of a host and port: a name has at most 255 (RFC 1035 2.3.4). What is longer is not kept in mind."""


def named_in(data: bytes) -> str | None:
    """The host that a TLS or HTTP client names in its first bytes; "" for none, None where more bytes are needed."""
    if starts_like_tls_record(data):
        try:
            hello = parse_client_hello(data)
        except ValueError:
            return ""
        return None if hello is None else hello.sni or ""
    if not re.match(rb"[A-Z]{3,} ", data):
        return ""
    head, end, _ = data.partition(b"\r\n\r\n")
    named = host_header(head + b"\r\n")
    if named is None:
        return "" if end else None
    return authority(named)[0]


def authority(text: str) -> tuple[str, int | None]:
    """The host and the port of a Host header; a host that is none as it is."""
    return _read_authority(text) if len(text) <= LONGEST_HOST else url.parse_authority(text, check=False)


@functools.lru_cache(maxsize=256)  # a client names the same hosts again and again, and IDNA takes its time
def _read_authority(text: str) -> tuple[str, int | None]:
    return url.parse_authority(text, check=False)


def host_header(head: bytes) -> str | None:
    """The Host header of a request's head, as it is written."""
    found = re.search(rb"\nhost:[ \t]*([^\r\n]*)", head, re.IGNORECASE)
    return None if found is None else found[1].decode("latin-1").strip()
