"""One commit for all that one turn of the loop writes: in a file, it costs as much for many as for one."""

import asyncio

from latehook.changes import Changes
from latehook.store import MEMORY, Store


class Commits:
    """Commits a store's writes at the end of the turn in which they were made."""

    def __init__(self, store: Store, changes: Changes) -> None:
        self.changes = changes
        self._store = store
        self._next: asyncio.Future[None] | None = None
        self._turn: asyncio.Handle

    @property
    def is_due(self) -> bool:
        """Whether something written is still to be committed."""
        return self._next is not None

    def soon(self) -> asyncio.Future[None]:
        """Have this turn end with a commit. Call it before the first write: if it fails, that is taken back too."""
        if self._next is None:
            loop = asyncio.get_running_loop()
            self._next = loop.create_future()
            self._turn = loop.call_soon(self._make)
        return self._next

    async def made(self) -> None:
        """Return when what was written counts. StoreError: none of this turn's writes does."""
        made = self.soon()
        if self._store.path == MEMORY:  # there it costs next to nothing, and nobody has to wait
            self._turn.cancel()
            self._make()
        await asyncio.shield(made)  # shared by many: one that gives up must not cancel it

    def _make(self) -> None:
        made, self._next = self._next, None
        assert made is not None
        try:
            self._store.commit()
        except Exception as error:  # whatever it is: nobody may wait for this commit for ever
            made.set_exception(error)
            made.exception()  # it is seen here, where nobody waits
        else:
            made.set_result(None)
            self.changes.happened()
