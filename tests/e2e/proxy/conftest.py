"""Fixtures that more than one test file of the proxy uses."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.certificates import certificate
from support.receivers import receiver
from support.third_party import ThirdParty


@pytest.fixture(scope="module")
def third_party(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ThirdParty]:
    own = certificate(tmp_path_factory.mktemp("third-party"), "localhost")
    with receiver() as plain, receiver(tls=own.context) as tls:
        yield ThirdParty(plain, tls, own.ca)


@pytest.fixture(scope="module")
def mocked(third_party: ThirdParty, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A mocks file by which the third party is mocked."""
    file = tmp_path_factory.mktemp("mocks") / "mocks.yaml"
    file.write_text(third_party.mocks)
    return file
