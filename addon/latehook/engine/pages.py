"""Pages of lists: how much of a list is read in one turn of the event loop, and what one page has of it."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Iterator
from contextlib import aclosing

from msgspec import Struct

from latehook.store.protocol import Match

FOUND_AT_ONCE = 100
"""Rows that one search of the store finds."""

ROWS_PER_TURN = 10
"""Rows that are read, matched and shown in one turn of the event loop."""

BYTES_PER_TURN = 512 * 1024
"""Bytes that are read in one turn. What is larger has a turn of its own."""


class Page[Item](Struct, frozen=True):
    """A part of a list, the newest first. `next` is the `after` of the next page, None for the last one."""

    items: list[Item]
    next: int | None


def in_turns(found: Iterable[Match]) -> Iterator[list[int]]:
    """Divide what was found, in its order, into the keys that are read in one turn each."""
    keys: list[int] = []
    size = 0
    for match in found:
        if keys and (len(keys) == ROWS_PER_TURN or size + match.size > BYTES_PER_TURN):
            yield keys
            keys, size = [], 0
        keys.append(match.key)
        size += match.size
    if keys:
        yield keys


async def page_of[Item, Result](
    batches: AsyncGenerator[list[Item]],
    limit: int,
    convert: Callable[[Item], Awaitable[Result]],
    number: Callable[[Item], int],
) -> Page[Result]:
    """Return the first `limit` items, converted. Read no more batches than that takes."""
    found: list[Result] = []
    last = 0
    async with aclosing(batches):
        async for batch in batches:
            for item in batch:
                if len(found) == limit:
                    return Page(found, last)
                found.append(await convert(item))
                last = number(item)
    return Page(found, None)
