"""Fixtures of the gallery: each provider's file is used by the provider's own SDK, or as its documentation shows."""

import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from support.gallery import LONG_DELAY, Gallery, start_gallery


@pytest.fixture(scope="package")
def gallery(confdir: Path) -> Iterator[Gallery]:
    """A gallery whose jobs end during the test."""
    yield from start_gallery(confdir)


@pytest.fixture(scope="package")
def slow_gallery(confdir: Path) -> Iterator[Gallery]:
    """A gallery whose jobs take days: they can be canceled, or polled while they run."""
    yield from start_gallery(confdir, DELAY=LONG_DELAY)


@pytest.fixture(autouse=True)
def only_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail a test that looks up the name of a provider, so that none is contacted without the proxy."""
    look_up = socket.getaddrinfo

    def local(host: Any, *arguments: Any, **named: Any) -> Any:
        assert host in ("127.0.0.1", b"127.0.0.1"), f"{host} would be contacted without the proxy"
        return look_up(host, *arguments, **named)

    monkeypatch.setattr(socket, "getaddrinfo", local)


@pytest.fixture
def use_proxy(monkeypatch: pytest.MonkeyPatch) -> Callable[[Gallery], None]:
    """A function that points SDKs at a gallery's proxy by environment variables."""

    def point(gallery: Gallery) -> None:
        for name in ("HTTP_PROXY", "NO_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "no_proxy", "all_proxy"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("HTTPS_PROXY", gallery.proxy.url)
        for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"):
            monkeypatch.setenv(name, gallery.proxy.ca)

    return point
