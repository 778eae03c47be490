"""Read which host a client names: in the first bytes of a connection, in the head of a request, in a Host header."""

import functools
import re

from latehook.proxy.compat import parse_authority, parse_client_hello, starts_like_tls_record

LONGEST_CACHED_AUTHORITY = 300
"""Characters of the longest host and port that are cached. A host name has at most 253 (RFC 1035 2.3.4)."""


def host_in(data: bytes) -> str | None:
    """Return the host that a TLS or HTTP client names in the first bytes it sends.

    "" if it names none, None if more bytes are needed.
    """
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
    """Return the host and the port of a Host header; a text that is no host as it is."""
    return _read_authority(text) if len(text) <= LONGEST_CACHED_AUTHORITY else parse_authority(text, check=False)


@functools.lru_cache(maxsize=256)  # a client names the same hosts again and again, and IDNA is slow
def _read_authority(text: str) -> tuple[str, int | None]:
    return parse_authority(text, check=False)


def host_header(head: bytes) -> str | None:
    """Return the Host header in the head of a request, as it is written; None if there is none."""
    found = re.search(rb"\nhost:[ \t]*([^\r\n]*)", head, re.IGNORECASE)
    return None if found is None else found[1].decode("latin-1").strip()


def hosts_in_head(head: bytes) -> list[str]:
    """Return the hosts that the beginning of a request's head names, in the request line and in the Host header."""
    line, _, headers = head.partition(b"\n")
    target = re.match(rb"[^ ]+ (?:https?://)?([^/ ]+)", line, re.IGNORECASE)
    in_header = host_header(b"\n" + headers)
    return ([in_header] if in_header else []) + ([target[1].decode("latin-1")] if target else [])
