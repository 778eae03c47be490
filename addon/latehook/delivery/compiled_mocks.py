"""The mocks that describe webhooks, compiled, by the hash of their definition: a job keeps the mock that started it."""

from collections.abc import Callable, Iterable

from latehook.base.errors import LatehookError, StoreError, shorten
from latehook.mocks.definitions import Mock, WebhookSpec
from latehook.store import Store

MAX_OLD = 100
"""Compiled mocks that stay in memory though no mocks file has them any more. Others are compiled again when needed."""

Restore = Callable[[bytes], Mock]
"""Compiles a mock again from its excerpt. Raises MocksError if that fails, because the environment has changed."""


class CompiledMocks:
    """Compiled mocks. The excerpts of all of them are also in the store."""

    def __init__(self, store: Store, restore: Restore) -> None:
        self._store = store
        self._restore = restore
        self._compiled: dict[str, Mock] = {}
        self._current: dict[str, Mock] = {}  # those of the mocks files, and added ones

    def add(self, mock: Mock) -> None:
        """Keep a mock for the job that it starts, and write it to the store."""
        self._compiled[mock.definition] = mock
        self._store.add_definition(mock.definition, mock.excerpt)

    async def webhook_spec(self, definition: str, stage: int) -> tuple[Mock, WebhookSpec]:
        """Return the mock with this hash, and the spec of the webhook of its stage with this number.

        Raises MocksError if the mock has to be compiled again and cannot be, StoreError if the store is damaged there.
        """
        mock = self._compiled.get(definition) or await self.mock(definition)
        spec = mock.stages[stage].webhook
        assert spec is not None
        return mock, spec

    async def mock(self, definition: str) -> Mock:
        """Return the mock with this hash. Raises as `webhook_spec` does."""
        mock = self._compiled.get(definition)
        if mock is None:
            mock = self._current.get(definition) or await self._restored(definition)
            self._compiled[definition] = mock
        return mock

    async def _restored(self, definition: str) -> Mock:
        excerpt = await self._store.definition(definition) or b""
        try:
            return self._restore(excerpt)
        except LatehookError:
            raise
        except Exception as error:  # of any kind, as the excerpt may be anything
            reason = f"the store is damaged, and has no mock for this webhook: {type(error).__name__}: {error}"
            raise StoreError(shorten(reason)) from error

    def drop_old(self, current: Iterable[Mock]) -> None:
        """Drop the compiled mocks that are not in `current`, except the newest MAX_OLD."""
        self._current = {mock.definition: mock for mock in current}
        old = [hash for hash in self._compiled if hash not in self._current]
        for hash in old[:-MAX_OLD]:
            del self._compiled[hash]

    def clear(self) -> None:
        self._compiled.clear()

    def __len__(self) -> int:
        """Return how many compiled mocks are in memory."""
        return len(self._compiled)
