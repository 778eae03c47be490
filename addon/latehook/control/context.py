"""What the handlers of the API work with."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

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


@dataclass(frozen=True)
class Here:
    """The operations, mitmproxy's folder, how answers are given, and the OpenAPI document."""

    operations: Operations
    confdir: Path
    answers: Answers
    document: Callable[[], dict[str, Any]]

    @property
    def lists(self) -> Queries:
        return self.operations.queries

    def webhooks(self, details: list[WebhookDetails]) -> list[schemas.Webhook]:
        return [schemas.webhook(each, self.operations.clock) for each in details]

    def webhook(self, id: str) -> schemas.Webhook:
        return self.webhooks(self.lists.webhook_details([self.lists.webhook(id)]))[0]
