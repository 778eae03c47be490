"""The values in the store's columns: how they are encoded, and the parts of them that are read alone."""

import hashlib
from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec.structs import replace

from latehook.base.errors import UnstorableError
from latehook.base.json_numbers import NumberAsWritten
from latehook.base.messages import Redirect
from latehook.base.model import UNKNOWN, Content, Job, Webhook
from latehook.store.damage import DAMAGED
from latehook.store.protocol import Due


class _Target(msgspec.Struct, frozen=True):
    """An encoded webhook, of which only this is decoded: see Due."""

    to: str | None
    definition: str
    mock_stage: int
    late: bool = False


class Event(msgspec.Struct):
    """An encoded webhook, of which only the event is decoded."""

    event: str | None = None


def _extension(value: Any) -> msgspec.msgpack.Ext:
    if isinstance(value, NumberAsWritten):
        return msgspec.msgpack.Ext(_AS_WRITTEN, value.text.encode())
    raise TypeError(f"a {type(value).__name__} is not data")


def _from_extension(code: int, data: memoryview) -> int | float:
    text = bytes(data).decode()
    return NumberAsWritten(text) if code == _AS_WRITTEN else int(text)


_AS_WRITTEN, _LARGE_INTEGER = 1, 2
"""The codes of MessagePack's extension types: a `NumberAsWritten`, and a whole number of more than 64 bits."""

_ENCODER = msgspec.msgpack.Encoder(enc_hook=_extension)
read_job = msgspec.msgpack.Decoder(Job, ext_hook=_from_extension).decode
read_webhook = msgspec.msgpack.Decoder(Webhook, ext_hook=_from_extension).decode
read_value = msgspec.msgpack.Decoder(ext_hook=_from_extension).decode
read_content = msgspec.msgpack.Decoder(Content).decode
_read_target = msgspec.msgpack.Decoder(_Target).decode
_read_event = msgspec.msgpack.Decoder(Event).decode


def read_due(
    value: bytes, due: float, job: int, stage: int, after: Sequence[int], attempts: int, elsewhere: bool = False
) -> Due:
    """Return the Due of an encoded webhook, with what its other columns have. Raises an error of DAMAGED."""
    target = _read_target(value)
    if target.to is None and not target.late:
        raise TypeError("it has no URL")
    where = target.definition, target.mock_stage
    return Due(due, target.to or "", after, job, stage, target.late, *where, attempts, elsewhere)


def event_of(webhook: bytes) -> str | None:
    """Return the event of an encoded webhook; None where it has none, or where it cannot be read."""
    try:
        return _read_event(webhook).event
    except DAMAGED:
        return None


def encode(value: Any) -> bytes:
    """Encode a value for a column. Raises UnstorableError for what MessagePack cannot hold."""
    try:
        return _ENCODER.encode(value)
    except OverflowError:  # MessagePack's whole numbers have 64 bits
        return encode(_with_large_integers(value))
    except (ValueError, TypeError) as error:
        reason = f"{error}: texts may have no lone surrogates"
        raise UnstorableError(f"this cannot be kept: {reason}") from error


def _with_large_integers(value: Any) -> Any:
    """Return a value with an extension type for each whole number that has more than 64 bits."""
    if isinstance(value, Job):
        return replace(value, vars=_with_large_integers(value.vars))
    if isinstance(value, Webhook):
        return replace(value, item=_with_large_integers(value.item))
    if isinstance(value, dict):
        return {key: _with_large_integers(item) for key, item in value.items()}
    if isinstance(value, list):
        return list(map(_with_large_integers, value))
    is_large = type(value) is int and not -(2**63) <= value < 2**64
    return msgspec.msgpack.Ext(_LARGE_INTEGER, str(value).encode()) if is_large else value


def write_redirects(redirects: Sequence[Redirect]) -> str | None:
    """Return the redirects of an attempt as JSON, None where there are none."""
    return msgspec.json.encode(redirects).decode() if redirects else None


def read_redirects(text: str | None) -> tuple[Redirect, ...]:
    """Return the redirects of an attempt. None, and a text that is damaged, give none."""
    try:
        return () if text is None else msgspec.json.decode(text, type=tuple[Redirect, ...])
    except DAMAGED:
        return ()


def digest(mock: str, idempotency_key: str) -> str:
    """Return what a job is found by for an idempotency key. A digest, because the key may be a secret (an API key)."""
    return hashlib.sha256(f"{mock}\0{idempotency_key}".encode("utf-8", "surrogatepass")).hexdigest()


def end_of(job: Job) -> float:
    """Return when a job's last stage is due, in seconds of Latehook's clock.

    Return UNKNOWN while one of them is open, or the job may still be taken back.
    """
    return UNKNOWN if job.undecided else max((stage.due - job.ahead for stage in job.stages), default=0.0)
