"""PURE: bodies decoded with limits: content codings, text, JSON."""

import zlib
from collections.abc import Callable, Iterator
from encodings import normalize_encoding
from encodings.aliases import aliases
from typing import Any

import brotli
import zstandard

from latehook.base.errors import BodyError
from latehook.base.json_text import decode_json

MAX_BODY_SIZE = 16 * 1024 * 1024
"""Bytes of a body that is kept, before and after decoding. Of a larger body only the size is known."""

SMALL_BODY_SIZE = 4096
"""Bytes of a body that a job always keeps, so that filters of the control API can read it."""

MAX_CODINGS = 4
"""Content codings of one body, one inside the other."""

MAX_GZIP_MEMBERS = 10_000
"""Members of a gzip body, one after the other."""


def decode_text(body: bytes | None, size: int, coding: str, content_type: str) -> str:
    """Return a body as text, by the charset of the content type, which is UTF-8 by default. Raises BodyError."""
    charset = _parameter(content_type, "charset") or "utf-8"
    try:
        if normalize_encoding(charset.lower()) not in _CHARSETS:
            raise LookupError
        return decode(body, size, coding).decode(charset, errors="replace")
    except LookupError:
        raise BodyError(f"the charset {charset!r} is not known") from None


_CHARSETS = {name for pair in aliases.items() for name in pair} - {"utf_7", "u7", "unicode_1_1_utf_7"}
"""The charsets that are accepted. For other names Python searches files, and some of its codecs take hours for a large
body. UTF-7 can encode lone surrogates.
"""


def parse_json(body: bytes | None, size: int, coding: str) -> Any:
    """Return a body's JSON value, None where it is not JSON. Raises BodyError if it was not kept or is too large."""
    try:
        return decode_json(decode(body, size, coding))
    except BodyError:
        raise
    except (ValueError, RecursionError):
        return None


def decode(body: bytes | None, size: int, coding: str) -> bytes:
    """Return a body without its content codings (gzip, deflate, br, zstd). Raises BodyError.

    `body` is None where it was not kept; `size` is its size in bytes; `coding` is the header Content-Encoding.
    """
    if body is None:
        raise BodyError(f"the body has {size:,} bytes and only {MAX_BODY_SIZE:,} are kept")
    names = [name.strip().lower() for name in coding.split(",") if name.strip()]
    if len(names) > MAX_CODINGS:
        raise BodyError(f"the body has {len(names)} content codings, one inside the other, and may have {MAX_CODINGS}")
    for name in reversed(names):
        if name == "identity":
            continue
        decoder = _DECODERS.get(name)
        if decoder is None:
            raise BodyError(f"the content coding {name!r} is not known: use one of {', '.join(_DECODERS)}")
        body = _bounded(decoder, body, name)
    return body


def _bounded(decoder: Callable[[bytes], Iterator[bytes]], body: bytes, name: str) -> bytes:
    decoded = bytearray()
    try:
        for piece in decoder(body):
            decoded += piece
            if len(decoded) > MAX_BODY_SIZE:
                raise BodyError(f"the {name} body has more than {MAX_BODY_SIZE:,} bytes when it is unpacked")
    except (zlib.error, brotli.error, zstandard.ZstdError) as error:
        raise BodyError(f"the body is not {name}: {error}") from None
    return bytes(decoded)


_OUTPUT_CHUNK = 1024 * 1024
"""Bytes that a decoder returns at once, at most."""

_INPUT_CHUNK = 64 * 1024
"""Bytes that zlib gets at once: it copies what follows the end of a gzip member."""


def _zlib(window: int) -> Callable[[bytes], Iterator[bytes]]:
    def decoder(body: bytes) -> Iterator[bytes]:
        inflate = zlib.decompressobj(window)
        members = 1
        for start in range(0, len(body), _INPUT_CHUNK):
            chunk = body[start : start + _INPUT_CHUNK]
            while chunk:
                if inflate.eof:  # another member follows
                    members += 1
                    inflate = zlib.decompressobj(window)
                if members > MAX_GZIP_MEMBERS:
                    raise BodyError(f"the gzip body has more than {MAX_GZIP_MEMBERS:,} members")
                yield inflate.decompress(chunk, _OUTPUT_CHUNK)
                chunk = inflate.unconsumed_tail or inflate.unused_data
        yield inflate.flush()

    return decoder


def _deflate(body: bytes) -> Iterator[bytes]:
    """Decode the zlib format, which RFC 9110 8.4.1.2 defines, and raw deflate, which some clients send."""
    is_zlib = len(body) >= 2 and body[0] & 0x0F == 8 and (body[0] << 8 | body[1]) % 31 == 0
    return _zlib(zlib.MAX_WBITS if is_zlib else -zlib.MAX_WBITS)(body)


def _brotli(body: bytes) -> Iterator[bytes]:
    decoder = brotli.Decompressor()
    yield decoder.process(body, output_buffer_limit=_OUTPUT_CHUNK)
    while not decoder.can_accept_more_data():
        yield decoder.process(b"", output_buffer_limit=_OUTPUT_CHUNK)


def _zstd(body: bytes) -> Iterator[bytes]:
    yield from zstandard.ZstdDecompressor(max_window_size=MAX_BODY_SIZE).read_to_iter(body, write_size=_OUTPUT_CHUNK)


_DECODERS: dict[str, Callable[[bytes], Iterator[bytes]]] = {
    "gzip": _zlib(zlib.MAX_WBITS | 16),
    "x-gzip": _zlib(zlib.MAX_WBITS | 16),
    "deflate": _deflate,
    "br": _brotli,
    "zstd": _zstd,
}


def _parameter(content_type: str, name: str) -> str | None:
    for part in content_type.split(";")[1:]:
        key, _, value = part.partition("=")
        if key.strip().lower() == name:
            return value.strip().strip('"')
    return None
