"""What the handlers of the API work with."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from latehook.api import models
from latehook.control import serializers
from latehook.control.responses import Responder
from latehook.engine.operations import Operations
from latehook.engine.queries import Queries, WebhookDetails


class Certificates(Protocol):
    """The certificate authorities that clients of the proxy trust, in PEM."""

    def own(self) -> str:
        """Return mitmproxy's authority."""

    def bundle(self) -> str:
        """Return mitmproxy's authority and the system's."""


@dataclass(frozen=True)
class HandlerContext:
    """What every handler is given besides its parameters.

    `openapi` returns the OpenAPI document.
    """

    operations: Operations
    certificates: Certificates
    responder: Responder
    openapi: Callable[[], dict[str, Any]]

    @property
    def queries(self) -> Queries:
        return self.operations.queries

    def webhooks(self, details: list[WebhookDetails]) -> tuple[models.Webhook, ...]:
        return tuple(serializers.webhook(each, self.operations.clock) for each in details)

    def webhook(self, id: str) -> models.Webhook:
        """Return the webhook with this id as it stands now. Raises NotFound if there is none."""
        return self.webhooks(self.queries.webhook_details([self.queries.webhook(id)]))[0]
