"""Check the running mitmproxy, before a module is imported that needs a supported one.

This module imports nothing that an old mitmproxy or an environment without Latehook's dependencies lacks.
"""

import re
from importlib import import_module

from mitmproxy import version

RANGE = ">=12.2.1,<13"
"""The supported versions; pyproject.toml has the same."""

_OLDEST = (12, 2, 1)
_FIRST_UNSUPPORTED = (13,)


class Unsupported(Exception):
    """Latehook cannot work with this mitmproxy. The text is one line: version found, range supported, remedy."""

    def __init__(self, reason: str) -> None:
        remedy = f"Latehook needs mitmproxy{RANGE}; run: pip install 'mitmproxy{RANGE}'"
        super().__init__(f"mitmproxy {version.VERSION} {reason}: {remedy}")


def check() -> None:
    """Raise Unsupported for a version outside RANGE, and for one that lacks a name in compat."""
    if not _OLDEST <= _numbers(version.VERSION) < _FIRST_UNSUPPORTED:
        raise Unsupported("is not supported")
    try:
        missing: list[str] = import_module("latehook.proxy.compat").missing()
    except ImportError as error:
        raise _of_import(error) or error from None
    if missing:
        raise Unsupported(f"lacks {', '.join(missing)}")


def explain(error: BaseException) -> str:
    """Return the line for an error of `check`, or of the imports after it."""
    if isinstance(error, ImportError):
        error = _of_import(error) or error
    return str(error) if isinstance(error, Unsupported) else f"cannot start: {type(error).__name__}: {error}"


def _of_import(error: ImportError) -> Unsupported | None:
    """Return Unsupported for a name that mitmproxy lacks, None for any other failed import."""
    is_mitmproxys = (error.name or "").partition(".")[0] == "mitmproxy"
    return Unsupported(f"lacks a name that Latehook uses ({error})") if is_mitmproxys else None


def _numbers(text: str) -> tuple[int, ...]:
    """Return the first three numbers of a version: (12, 2, 3) for "12.2.3" and "12.2.3.dev"."""
    return tuple(map(int, re.findall(r"\d+", text)[:3]))
