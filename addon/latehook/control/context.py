"""What the handlers of the API work with."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from latehook.control import schemas
from latehook.control.responses import Answers
from latehook.engine.operations import Operations
from latehook.engine.queries import History, Queries


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
        return self.operations.lists

    def webhooks(self, histories: list[History]) -> list[schemas.Webhook]:
        return [schemas.webhook(history, self.operations.clock) for history in histories]

    def webhook(self, id: str) -> schemas.Webhook:
        return self.webhooks(self.lists.histories([self.operations.webhook(id)]))[0]
