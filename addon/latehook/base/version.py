"""Latehook's version."""

import platform
from importlib import metadata

UNKNOWN = "0+unknown"
"""The version of a checkout that is not installed."""


def version() -> str:
    """Return the version of the installed package, or UNKNOWN where it runs from a checkout."""
    try:
        return metadata.version("latehook")
    except metadata.PackageNotFoundError:
        return UNKNOWN


def versions() -> str:
    """Return the versions of Latehook, mitmproxy and Python in one line."""
    return f"Latehook {version()}, mitmproxy {metadata.version('mitmproxy')}, Python {platform.python_version()}"
