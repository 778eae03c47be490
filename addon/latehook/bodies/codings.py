"""PURE: content codings (RFC 9110 section 8.4.1): bodies compressed, and decompressed with limits."""

import gzip
import zlib
from collections.abc import Callable, Iterable, Iterator

import brotli
import zstandard

from latehook.base.errors import BodyError

MAX_BODY_SIZE = 16 * 1024 * 1024
"""Bytes of a body that is kept, before and after decoding. Of a larger body only the size is known."""

MAX_CODINGS = 4
"""Content codings of one body, one inside the other."""

MAX_GZIP_MEMBERS = 10_000
"""Members of a gzip body, or frames of a zstd body, one after the other."""

BROTLI_QUALITY = 5
"""Of 0 to 11. The default of 11 takes a second for a megabyte."""


def codings_of(headers: Iterable[str]) -> list[str]:
    """Return the content codings that headers `Content-Encoding` name, the first one applied first.

    Raises BodyError for one that is not known, and for too many.
    """
    names = [name.strip().lower() for value in headers for name in value.split(",")]
    names = [name for name in names if name not in ("", "identity")]
    if len(names) > MAX_CODINGS:
        raise BodyError(f"the body has {len(names)} content codings, one inside the other, and may have {MAX_CODINGS}")
    for name in names:
        if name not in _DECODERS:
            raise BodyError(f"the content coding {name!r} is not known: use one of {', '.join(_DECODERS)}")
    return names


def compress(body: bytes, codings: Iterable[str]) -> bytes:
    """Return a body with content codings. The same body gives the same bytes."""
    for name in codings:
        body = _ENCODERS[name](body)
    return body


_ENCODERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": lambda body: gzip.compress(body, mtime=0),
    "x-gzip": lambda body: gzip.compress(body, mtime=0),
    "deflate": zlib.compress,
    "br": lambda body: bytes(brotli.compress(body, quality=BROTLI_QUALITY)),
    "zstd": zstandard.compress,
}


def decompress(body: bytes, codings: Iterable[str]) -> bytes:
    """Return a body without its content codings. Raises BodyError for one that is broken or becomes too large."""
    for name in reversed(list(codings)):
        body = _bounded(_DECODERS[name], body, name)
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
        if body and not inflate.eof:
            raise zlib.error("its end is missing")

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
    if body and not decoder.is_finished():
        raise brotli.error("its end is missing")


def _zstd(body: bytes) -> Iterator[bytes]:
    decoder = zstandard.ZstdDecompressor(max_window_size=MAX_BODY_SIZE)
    frame = decoder.decompressobj()
    frames = 1
    for start in range(0, len(body), _ZSTD_INPUT_CHUNK):
        chunk = body[start : start + _ZSTD_INPUT_CHUNK]
        while chunk:
            if frame.eof:  # another frame follows
                frames += 1
                frame = decoder.decompressobj()
            if frames > MAX_GZIP_MEMBERS:
                raise BodyError(f"the zstd body has more than {MAX_GZIP_MEMBERS:,} frames")
            yield frame.decompress(chunk)
            chunk = frame.unused_data if frame.eof else b""
    if body and not frame.eof:
        raise zstandard.ZstdError("its end is missing")


_ZSTD_INPUT_CHUNK = 256
"""Bytes that zstd gets at once: it returns all that they become, up to 128 KiB for 4 bytes."""


_DECODERS: dict[str, Callable[[bytes], Iterator[bytes]]] = {
    "gzip": _zlib(zlib.MAX_WBITS | 16),
    "x-gzip": _zlib(zlib.MAX_WBITS | 16),
    "deflate": _deflate,
    "br": _brotli,
    "zstd": _zstd,
}
