"""PURE: checks of a receiver's URL: a request is accepted only if the receiver answers a webhook as it should."""

import base64
import hmac
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from latehook.importing.exchanges import Exchange, KeyPath, leaves
from latehook.importing.scrubbing import snake
from latehook.importing.situations import from_environment
from latehook.importing.sources import member, quote

MIN_CHALLENGE = 4
"""Characters of the shortest challenge."""

Check = tuple[Exchange, Exchange]
"""A request, and the webhook that came before its response."""


@dataclass(frozen=True, slots=True)
class Keyed:
    """An HMAC of a challenge: the variable that has its secret, and how it is written."""

    secret: str
    variable: str
    algorithm: str
    encoding: str
    prefix: str = ""

    def of(self, challenge: str) -> str:
        """Return the HMAC of a challenge, as text."""
        raw = hmac.digest(self.secret.encode(), challenge.encode(), self.algorithm)
        return self.prefix + (raw.hex() if self.encoding == "hex" else base64.b64encode(raw).decode())

    def expression(self, challenge: str) -> str:
        """Return the expression that gives the HMAC of what the expression `challenge` gives."""
        secret = from_environment(self.variable, "")[3:-3]
        given = f"({challenge} | hmac({secret}, {quote(self.algorithm)}, {quote(self.encoding)}))"
        return f"{quote(self.prefix)} ~ {given}" if self.prefix else given


@dataclass(frozen=True, slots=True)
class Handshake:
    """What accepted receivers have answered, and refused ones have not.

    `challenge` is the place of the value in the webhook that they give back, `answer` what of `job.webhooks.EVENT`
    has it, or, if it is `keyed`, its HMAC. Without a challenge, they answered with one of `statuses`.
    """

    challenge: KeyPath | None = None
    answer: str = ""
    keyed: Keyed | None = None
    statuses: tuple[int, ...] = ()

    @property
    def variable(self) -> str:
        """The name of the job's variable that has the challenge."""
        name = "".join(
            char if char.isascii() and char.isalnum() else "_" for char in snake((self.challenge or ("",))[-1])
        )
        return name if name[:1].isalpha() else f"v_{name}"

    def failed(self, event: str) -> str:
        """Return the condition that holds if the receiver has not answered as it should."""
        webhook = member("job.webhooks", event)
        if self.challenge is None:
            return f"{webhook}.status not in {list(self.statuses)}"
        variable = f"job.vars.{self.variable}"
        expected = variable if self.keyed is None else self.keyed.expression(variable)
        return f"{webhook}.{self.answer} != {expected}"

    def challenge_of(self, webhook: Exchange) -> Any:
        """Return the challenge in a webhook, None if it has none."""
        return next((value for place, value in _given(webhook) if place == self.challenge), None)


def handshake(accepted: Sequence[Check], refused: Sequence[Check], secrets: Mapping[str, str]) -> Handshake | None:
    """Return what tells accepted requests from refused ones, None if the answers of the receivers do not.

    `secrets` are values with the names of their variables.
    """
    for found in _possible(accepted[0][1], secrets):
        if all(_is_given_back(found, one) for _, one in accepted) and not any(
            _is_given_back(found, one) for _, one in refused
        ):
            return found
    statuses = {webhook.status for _, webhook in accepted}
    if all(200 <= status < 300 for status in statuses) and not statuses & {webhook.status for _, webhook in refused}:
        return Handshake(statuses=tuple(sorted(statuses)))
    return None


def _possible(webhook: Exchange, secrets: Mapping[str, str]) -> Iterator[Handshake]:
    """Yield the ways in which an answer gives back a value of the webhook, or its HMAC."""
    for place, value in _given(webhook):
        if not isinstance(value, str) or len(value) < MIN_CHALLENGE:
            continue
        keyed = [
            Keyed(secret, name, algorithm, encoding)
            for secret, name in secrets.items()
            for algorithm in ("sha256", "sha1", "sha512")
            for encoding in ("hex", "base64")
        ]
        for answer, given in _answered(webhook):
            if given == value:
                yield Handshake(place, answer)
            for one in keyed if isinstance(given, str) else ():
                prefix, made, behind = given.rpartition(one.of(value))
                if made and not behind and re.fullmatch(r"[\w-]{0,10}=?", prefix):
                    yield Handshake(place, answer, replace(one, prefix=prefix))


def _is_given_back(found: Handshake, webhook: Exchange) -> bool:
    value = found.challenge_of(webhook)
    expected = found.keyed.of(value) if found.keyed is not None and isinstance(value, str) else value
    return value is not None and (found.answer, expected) in list(_answered(webhook))


def _given(webhook: Exchange) -> Iterator[tuple[KeyPath, Any]]:
    """Yield the values of a webhook, with their places."""
    yield from ((("query", name), value) for name, value in webhook.query)
    yield from leaves(webhook.request.body.value)


def _answered(webhook: Exchange) -> Iterator[tuple[str, Any]]:
    """Yield what the receiver answered, with the members of `job.webhooks.EVENT` that read it."""
    body = webhook.response.body
    yield "text", webhook.response.content.decode("utf-8", "replace")
    if body.kind == "json":
        for path, value in leaves(body.value):
            expression = "json"
            for key in path:
                expression = member(expression, key)
            yield expression, value
