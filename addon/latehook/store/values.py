"""The values in the store's columns: how they are encoded, and the parts of them that are read alone."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from latehook.base.errors import UnstorableError
from latehook.base.model import Content, Job, Webhook


@dataclass(frozen=True, slots=True)
class Due:
    """A pending webhook, as far as is needed to decide whether its attempt may start.

    `due` is in seconds of Latehook's clock. `after` has the keys of the job's earlier webhooks whose first attempt must
    come first.
    """

    due: float
    url: str
    after: Sequence[int]


class Target(msgspec.Struct, frozen=True):
    """An encoded webhook, of which only the URL is decoded."""

    to: str


class Event(msgspec.Struct):
    """An encoded webhook, of which only the event is decoded."""

    event: str | None = None


_ENCODER = msgspec.msgpack.Encoder()
read_job = msgspec.msgpack.Decoder(Job).decode
read_webhook = msgspec.msgpack.Decoder(Webhook).decode
read_content = msgspec.msgpack.Decoder(Content).decode
read_target = msgspec.msgpack.Decoder(Target).decode
read_event = msgspec.msgpack.Decoder(Event).decode


def encode(value: Any) -> bytes:
    """Encode a value for a column. Raises UnstorableError for what MessagePack cannot hold."""
    try:
        return _ENCODER.encode(value)
    except (ValueError, OverflowError, TypeError) as error:
        reason = f"{error}: whole numbers have at most 64 bits, and texts no lone surrogates"
        raise UnstorableError(f"this cannot be kept: {reason}") from error


def digest(mock: str, idempotency_key: str) -> str:
    """Return what a job is found by for an idempotency key. A digest, because the key may be a secret (an API key)."""
    return hashlib.sha256(f"{mock}\0{idempotency_key}".encode("utf-8", "surrogatepass")).hexdigest()


def as_list(values: Iterable[Any]) -> str:
    """Return values as one JSON list, for `IN (SELECT value FROM json_each(?))`: SQL limits the number of `?`."""
    return msgspec.json.encode(list(values)).decode()
