"""Types of arguments that several commands take."""

import argparse
from pathlib import Path

from latehook.base.installation import SCRIPTS
from latehook.base.text import did_you_mean

CONFDIR = "~/.mitmproxy"
"""mitmproxy's own default for its folder."""

PORT = 8080
"""mitmproxy's own default for the port of the proxy."""

PROVIDERS = dict(sorted((file.stem, file) for file in (SCRIPTS / "providers").glob("*.yaml")))
"""The mocks of real providers, by name."""


def port(text: str) -> int:
    """Return a port's number. Raises ArgumentTypeError."""
    if not (text.isascii() and text.isdigit() and int(text) < 1 << 16):
        raise argparse.ArgumentTypeError(f"{text}: write a port, a whole number below 65536")
    return int(text)


def provider(name: str) -> Path:
    """Return the mocks file of a provider. Raises ArgumentTypeError."""
    if name not in PROVIDERS:
        remedy = did_you_mean(name, PROVIDERS) or "; `latehook providers` lists them"
        raise argparse.ArgumentTypeError(f"there is no provider {name!r}{remedy}")
    return PROVIDERS[name]
