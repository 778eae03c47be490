"""What is in the store's cells, and what can go wrong with them."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from latehook.base.errors import UnkeepableError
from latehook.base.model import Content, Job, State, Webhook

OWED = (State.PENDING, State.HELD)
"""The states that the store has for a webhook that is still to be delivered."""


@dataclass(frozen=True, slots=True)
class Due:
    """What is asked of a webhook whose time has come: when that was, where it goes, which it must not overtake, how
    many attempts it has had, and which stage of which mock describes it.
    """

    due: float
    url: str
    behind: Sequence[int]
    attempts: int
    definition: str
    plan: int


class Target(msgspec.Struct, frozen=True):
    """Of a webhook only where it goes, and what describes it."""

    to: str
    definition: str
    plan: int


class Event(msgspec.Struct):
    """A webhook, as far as its event."""

    event: str | None = None


_ENCODER = msgspec.msgpack.Encoder()
read_job = msgspec.msgpack.Decoder(Job).decode
read_webhook = msgspec.msgpack.Decoder(Webhook).decode
read_content = msgspec.msgpack.Decoder(Content).decode
read_target = msgspec.msgpack.Decoder(Target).decode
read_event = msgspec.msgpack.Decoder(Event).decode


def encode(value: Any) -> bytes:
    try:
        return _ENCODER.encode(value)
    except (ValueError, OverflowError, TypeError) as error:
        reason = f"{error}: whole numbers have at most 64 bits, texts no half of a character"
        raise UnkeepableError(f"this cannot be kept: {reason}") from error


def digest(mock: str, idempotency_key: str) -> str:
    """What a job is found by for an idempotency key, which may be anything: an API key, too."""
    return hashlib.sha256(f"{mock}\0{idempotency_key}".encode("utf-8", "surrogatepass")).hexdigest()


def as_list(values: Iterable[Any]) -> str:
    """A list of any length as one value of SQL."""
    return msgspec.json.encode(list(values)).decode()
