"""What the handlers of the API work with."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from typing import Any, Protocol

from latehook.control import schemas
from latehook.control.responses import Answers
from latehook.engine.operations import Operations
from latehook.engine.queries import Queries, WebhookDetails


def version() -> str:
    """Latehook's."""
    try:
        return metadata.version("latehook")
    except metadata.PackageNotFoundError:  # it runs from its folder
        return "not installed"


class Certificates(Protocol):
    """The certificate authorities that clients of the proxy trust, in PEM."""

    def own(self) -> str:
        """Return mitmproxy's authority."""

    def bundle(self) -> str:
        """Return mitmproxy's authority and the system's."""


@dataclass(frozen=True)
class Here:
    """The operations, the certificates, how answers are given, and the OpenAPI document."""

    operations: Operations
    certificates: Certificates
    answers: Answers
    document: Callable[[], dict[str, Any]]

    @property
    def lists(self) -> Queries:
        return self.operations.queries

    def webhooks(self, details: list[WebhookDetails]) -> list[schemas.Webhook]:
        return [schemas.webhook(each, self.operations.clock) for each in details]

    def webhook(self, id: str) -> schemas.Webhook:
        return self.webhooks(self.lists.webhook_details([self.lists.webhook(id)]))[0]
