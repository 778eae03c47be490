"""What the handlers of the API work with."""

from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from latehook.control import shapes
from latehook.lists import History, Lists
from latehook.operations import Operations


@dataclass(frozen=True)
class Here:
    """The operations, and mitmproxy's folder."""

    operations: Operations
    confdir: Path

    @property
    def lists(self) -> Lists:
        return self.operations.lists

    @property
    def version(self) -> str:
        try:
            return metadata.version("latehook")
        except metadata.PackageNotFoundError:  # it runs from its folder
            return "not installed"

    def webhooks(self, histories: list[History]) -> list[shapes.Webhook]:
        return [shapes.webhook(history, self.operations.clock) for history in histories]

    def webhook(self, id: str) -> shapes.Webhook:
        return self.webhooks(self.lists.histories([self.operations.webhook(id)]))[0]
