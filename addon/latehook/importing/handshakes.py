"""PURE: checks of a receiver's URL: a request is accepted only if the receiver answers a webhook as it should."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from latehook.importing.exchanges import Exchange, KeyPath, leaves
from latehook.importing.scrubbing import snake
from latehook.importing.sources import member

MIN_CHALLENGE = 4
"""Characters of the shortest challenge."""

Check = tuple[Exchange, Exchange]
"""A request, and the webhook that came before its response."""


@dataclass(frozen=True, slots=True)
class Handshake:
    """What accepted receivers have answered, and refused ones have not.

    `challenge` is the place of the value in the webhook that they give back, `answer` what of `job.webhooks.EVENT`
    has it. Without a challenge, they answered with one of `statuses`.
    """

    challenge: KeyPath | None = None
    answer: str = ""
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
        return f"{webhook}.{self.answer} != job.vars.{self.variable}"

    def challenge_of(self, webhook: Exchange) -> Any:
        """Return the challenge in a webhook, None if it has none."""
        return next((value for place, value in _given(webhook) if place == self.challenge), None)


def handshake(accepted: Sequence[Check], refused: Sequence[Check]) -> Handshake | None:
    """Return what tells accepted requests from refused ones, None if the answers of the receivers do not."""
    for place, value in _given(accepted[0][1]):
        for answer, given in _answered(accepted[0][1]):
            if given == value and isinstance(value, str) and len(value) >= MIN_CHALLENGE:
                found = Handshake(place, answer)
                if all(_is_given_back(found, one) for _, one in accepted) and not any(
                    _is_given_back(found, one) for _, one in refused
                ):
                    return found
    statuses = {webhook.status for _, webhook in accepted}
    if all(200 <= status < 300 for status in statuses) and not statuses & {webhook.status for _, webhook in refused}:
        return Handshake(statuses=tuple(sorted(statuses)))
    return None


def _is_given_back(found: Handshake, webhook: Exchange) -> bool:
    value = found.challenge_of(webhook)
    return value is not None and (found.answer, value) in list(_answered(webhook))


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
