"""What the handlers of the API work with."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec

from latehook.api import models
from latehook.control import serializers
from latehook.control.beginnings import beginning
from latehook.control.responses import Responder
from latehook.engine.journal import JournalEntry
from latehook.engine.operations import Operations
from latehook.engine.queries import JobDetails, Queries, WebhookDetails


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

    # The items of lists, as JSON: of each body the beginning

    def webhook(self, details: WebhookDetails) -> msgspec.Raw:
        return self.responder.encode(self.listed_webhook(details))

    def job(self, details: JobDetails) -> msgspec.Raw:
        return self.responder.encode(serializers.job(details, self.operations.clock, self._beginning))

    def request(self, entry: JournalEntry) -> msgspec.Raw:
        return self.responder.encode(serializers.request(entry, self.operations.redaction.redact))

    def listed_webhook(self, details: WebhookDetails) -> models.Webhook:
        """Return a webhook as lists have it."""
        return serializers.webhook(details, self.operations.clock, self._beginning)

    async def webhooks(self, keys: Sequence[int]) -> list[msgspec.Raw]:
        """Return the webhooks with these keys, those that are still there, in this order."""
        found = {}
        async for batch in self.queries.batches_of(keys):
            for details in await self.queries.webhook_details(batch):
                found[details.stored.key] = self.webhook(details)
        return [found[key] for key in keys if key in found]

    # By id: all of each body

    async def whole_webhook(self, id: str) -> models.Webhook:
        """Return the webhook with this id as it stands now. Raises NotFound if there is none."""
        [details] = await self.queries.webhook_details([await self.queries.webhook(id)])
        return serializers.webhook(details, self.operations.clock)

    def _beginning(self, body: bytes) -> bytes:
        return beginning(body, self.operations.redaction)
