"""PURE: coroutines that wait for nothing."""

from collections.abc import Coroutine
from typing import Any


class MustWait(Exception):
    """A coroutine would have to wait."""


def result_at_once[Result](coroutine: Coroutine[Any, Any, Result]) -> Result:
    """Return the result of a coroutine that waits for nothing, without an event loop. Raises MustWait for another."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        result: Result = end.value
        return result
    coroutine.close()
    raise MustWait
