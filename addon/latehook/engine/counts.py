"""How often mocks have answered, and faults have happened, since the start or the last reset."""

from collections import defaultdict

from latehook.store.shared import SharedCounters


class Counts:
    """Counts by name. Those of several processes are in the store: what the others have counted is seen by a claim."""

    def __init__(self, shared: SharedCounters | None) -> None:
        self._shared = shared
        self._counts: defaultdict[str, int] = defaultdict(int)

    def __getitem__(self, name: str) -> int:
        """Return a count, as far as it is known: it may be higher."""
        return self._counts[name]

    async def claim(self, name: str, limit: int) -> bool:
        """Count one more. Return False, and count nothing, where the count is `limit` already. Raises StoreError."""
        if self._shared is None:
            count = None if self._counts[name] >= limit else self._counts[name] + 1
        else:
            count = await self._shared.count(name, limit)
        self._counts[name] = limit if count is None else count
        return count is not None

    def clear(self) -> None:
        self._counts.clear()


def of_answers(definition: str) -> str:
    """Return the name of the count of a mock's answers."""
    return definition


def of_faults(definition: str, stage: int | None, response: int) -> str:
    """Return the name of the count of a mock's faults: of the webhook of a stage, or of a response."""
    return f"{definition} response {response}" if stage is None else f"{definition} stage {stage}"
