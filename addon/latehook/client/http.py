"""What both shells do alike: a call's question as httpx's request, what came back as its answer."""

import ssl
from pathlib import Path
from typing import Any

import httpx

from latehook.base.errors import ControlError
from latehook.client.address import Place
from latehook.client.calls import Answer, Ask

CLIENT: dict[str, Any] = {
    "trust_env": False,  # not through the proxies of the machine's own environment
    "verify": ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),  # http only: reading the system's authorities takes a while
}


class Shell:
    """Where its proxy is, for the SUT."""

    def __init__(self, place: Place, beside: Path | None = None) -> None:
        self._place = place
        self._folders = [Path.cwd()] if beside is None else [beside, Path.cwd()]

    @property
    def proxy(self) -> str:
        """The proxy's URL."""
        return self._place.proxy

    @property
    def ca_bundle(self) -> str:
        """A file with the system's certificate authorities and the proxy's."""
        return str(self._place.ca_bundle)

    @property
    def env(self) -> dict[str, str]:
        """The variables that point a process at the proxy: `env=os.environ | latehook.env`."""
        return self._place.env()

    def _request(self, ask: Ask) -> httpx.Request:
        return httpx.Request(
            ask.method,
            self._place.control + ask.path,
            params=ask.query,
            content=ask.content,
            headers=self._place.headers | ({} if ask.content is None else {"content-type": ask.content_type}),
            extensions={"timeout": httpx.Timeout(ask.timeout).as_dict()},
        )

    def _silence(self, error: httpx.HTTPError) -> ControlError:
        what = str(error) or type(error).__name__
        return ControlError(f"Latehook does not answer at {self._place.control}: {what}; does its proxy run?")


def answer(response: httpx.Response) -> Answer:
    return Answer(response.status_code, response.content)
