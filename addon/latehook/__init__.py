"""Latehook stands in for a slow third party: it answers at once and calls the webhook back later.

For tests: `connect` and `start`, and `aio` with the same, awaitable.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from latehook.client import aio as aio
    from latehook.client.sync import connect as connect
    from latehook.client.sync import start as start


def __getattr__(name: str) -> Any:
    """The client is imported when it is asked for: within mitmdump nobody does."""
    if name == "aio":
        return import_module("latehook.client.aio")
    if name in ("connect", "start"):
        return getattr(import_module("latehook.client.sync"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
