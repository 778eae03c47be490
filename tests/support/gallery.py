"""A proxy with the files of all providers, and what the tests of the gallery have in common."""

import hmac
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
from cryptography.hazmat.primitives import serialization

from latehook.mocksfile.loading import load
from support.paths import ROOT
from support.process import Proxy, mitmdump
from support.receivers import Received, Receiver, receiver
from support.waiting import wait_until

FILES = sorted((ROOT / "addon" / "providers").glob("*.yaml"))
SPEED = 200
"""The speed of the proxies' clocks: 65 seconds pass in a third of a second."""
LONG_DELAY = "5d"
"""The environment variable DELAY for jobs that must not end during a test."""


@dataclass
class Gallery:
    """A proxy with the files of all providers. `registered` is the receiver at CALLBACK_URL."""

    proxy: Proxy
    registered: Receiver

    @property
    def hook(self) -> str:
        return f"{self.registered.url}/registered"

    @property
    def api(self) -> requests.Session:
        """A client without an SDK."""
        session = requests.Session()
        session.trust_env = False
        session.proxies = {"https": self.proxy.url}
        session.verify = self.proxy.ca
        return session

    def events(self, count: int, about: str, at: Receiver | None = None) -> list[Received]:
        """Wait for `count` webhooks that have the text `about` in their body, and return them."""

        def found() -> list[Received]:
            return [got for got in list((at or self.registered).requests) if about.encode() in got.body]

        wait_until(lambda: len(found()) >= count, f"{count} webhooks about {about}")
        return found()[:count]


def start_gallery(confdir: Path, **env: str) -> Iterator[Gallery]:
    files = [part for file in FILES for part in ("--set", f"mock_file={file}")]
    with receiver() as registered:
        env["CALLBACK_URL"] = f"{registered.url}/registered"
        with mitmdump(confdir, *files, "--set", f"mock_speed={SPEED}", env=env) as proxy:
            yield Gallery(proxy, registered)


def public_key(provider: str, variable: str) -> Any:
    """Return the public key of the private key that a provider's file signs with."""
    variables = load([ROOT / "addon" / "providers" / f"{provider}.yaml"], {"CALLBACK_URL": "http://app.test/"}).vars
    return serialization.load_pem_private_key(variables[variable].encode(), None).public_key()


def hmac_of(body: bytes, secret: str, algorithm: str = "sha256") -> bytes:
    return hmac.new(secret.encode(), body, algorithm).digest()


def poll(ask: Callable[[], Any], until: str) -> Any:
    """Call `ask` until its result has the status `until`, and return the result."""
    return wait_until(lambda: (found := ask())["status"] == until and found, f"the status {until!r}")
