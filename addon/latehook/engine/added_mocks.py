"""The mocks that were added while the proxy ran, compiled."""

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from latehook.mocks.definitions import Mocks
from latehook.store.world import AddedMocks

LoadMocks = Callable[[str, str | None, Mapping[str, Any], Mapping[str, bytes]], Mocks]
"""Compiles mocks of a text, for a file name (None: unnamed), the variables that exist, and the contents of the files
that the text names. Raises MocksError.
"""


class AddedMocksCompiler:
    """Compiles added mocks, each once."""

    def __init__(self, load: LoadMocks) -> None:
        self._load = load
        self._compiled: dict[AddedMocks, Mocks] = {}

    async def compile(self, added: AddedMocks) -> Mocks:
        """Return these mocks. If they have to be compiled, a thread does it. Raises MocksError."""
        mocks = self._compiled.get(added)
        if mocks is None:
            given = added.text, added.file, dict.fromkeys(added.variables), dict(added.files)
            mocks = self._compiled[added] = await asyncio.to_thread(self._load, *given)
        return mocks

    async def compile_all(self, added: Sequence[AddedMocks]) -> list[Mocks]:
        """Return all of these, in this order. Raises MocksError."""
        return [await self.compile(each) for each in added]

    def drop_others(self, added: Collection[AddedMocks]) -> None:
        """Forget what was compiled for others than these."""
        self._compiled = {each: mocks for each, mocks in self._compiled.items() if each in added}
