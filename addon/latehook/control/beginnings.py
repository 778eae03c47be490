"""The beginning of a long body, for lists."""

import codecs

from latehook.base.redaction import Redaction

SIZE_IN_LISTS = 4096
"""Bytes of a body that lists have at most."""

LOOKED_AT = 64 * 1024
"""Bytes behind them that are looked at for a secret that begins before the end."""

_DECODER = codecs.getincrementaldecoder("utf-8")


def beginning(body: bytes, redaction: Redaction) -> bytes:
    """Return at most SIZE_IN_LISTS bytes of a body: without half a character at the end, or a part of a secret."""
    if len(body) <= SIZE_IN_LISTS:
        return body
    decoder = _DECODER("surrogateescape")
    shown = decoder.decode(body[:SIZE_IN_LISTS])  # half a character at the end is kept back
    behind = decoder.decode(body[SIZE_IN_LISTS : SIZE_IN_LISTS + LOOKED_AT], final=True)
    return shown[: redaction.cut(shown + behind, len(shown))].encode("utf-8", "surrogateescape")
