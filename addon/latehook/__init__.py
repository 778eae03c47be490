"""Latehook stands in for slow third-party services in tests: it answers at once, and calls the webhook back later.

This is the public interface for Python: `start` and `connect` give a client (`Latehook`), `aio` has the same to await.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from latehook.api.models import Attempt as Attempt
    from latehook.api.models import Job as Job
    from latehook.api.models import JobRequest as JobRequest
    from latehook.api.models import JobResponse as JobResponse
    from latehook.api.models import NearMiss as NearMiss
    from latehook.api.models import OtherRequest as OtherRequest
    from latehook.api.models import Redirect as Redirect
    from latehook.api.models import Request as Request
    from latehook.api.models import Stage as Stage
    from latehook.api.models import Webhook as Webhook
    from latehook.base.errors import ControlError as ControlError
    from latehook.base.errors import LatehookError as LatehookError
    from latehook.base.model import State as State
    from latehook.client import aio as aio
    from latehook.client.aio import AsyncLatehook as AsyncLatehook
    from latehook.client.failures import AdvanceTimeout as AdvanceTimeout
    from latehook.client.failures import ExpectationFailed as ExpectationFailed
    from latehook.client.failures import StrictCheckFailed as StrictCheckFailed
    from latehook.client.failures import WaitTimeout as WaitTimeout
    from latehook.client.mocks import Mocks as Mocks
    from latehook.client.sync import Latehook as Latehook
    from latehook.client.sync import connect as connect
    from latehook.client.sync import start as start
    from latehook.client.sync_session import Variables as Variables

    __version__: str

_MODULES = {
    "latehook.api.models": (
        *("Attempt", "Job", "JobRequest", "JobResponse", "NearMiss", "OtherRequest", "Redirect", "Request", "Stage"),
        "Webhook",
    ),
    "latehook.base.errors": ("ControlError", "LatehookError"),
    "latehook.base.model": ("State",),
    "latehook.client.aio": ("AsyncLatehook",),
    "latehook.client.failures": ("AdvanceTimeout", "ExpectationFailed", "StrictCheckFailed", "WaitTimeout"),
    "latehook.client.mocks": ("Mocks",),
    "latehook.client.sync": ("Latehook", "connect", "start"),
    "latehook.client.sync_session": ("Variables",),
}
"""Where each name comes from. It is imported when it is first used: mitmdump, which imports this too, uses none."""

__all__ = [
    "AdvanceTimeout",
    "AsyncLatehook",
    "Attempt",
    "ControlError",
    "ExpectationFailed",
    "Job",
    "JobRequest",
    "JobResponse",
    "Latehook",
    "LatehookError",
    "Mocks",
    "NearMiss",
    "OtherRequest",
    "Redirect",
    "Request",
    "Stage",
    "State",
    "StrictCheckFailed",
    "Variables",
    "WaitTimeout",
    "Webhook",
    "__version__",
    "aio",
    "connect",
    "start",
]


def __getattr__(name: str) -> Any:
    if name == "aio":
        return import_module("latehook.client.aio")
    if name == "__version__":
        return import_module("latehook.base.version").version()
    for module, names in _MODULES.items():
        if name in names:
            return getattr(import_module(module), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
