"""A strict type checker accepts a user's test that uses the fixture and the clients, and rejects a wrong one."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from support.limits import LONG_LIMIT

USE = """
from collections.abc import Iterator

import latehook
import pytest


@pytest.fixture(scope="session")
def provider() -> Iterator[latehook.Latehook]:
    with latehook.start("mocks.yaml", mock_workers="8") as client:
        yield client


def test_an_order_is_paid(latehook: latehook.Latehook) -> None:
    latehook.vars["verdict"] = "good"
    latehook.advance("65s")
    [webhook] = latehook.wait_for(event="order.paid", state="delivered", timeout=5)
    status: int | None = webhook.attempts[-1].status
    [job] = latehook.jobs(job=webhook.job)
    assert status == 200 and job.stages[0].status == "paid" and job.request.method == "POST"


async def failure_of_a_wait() -> str:
    async with latehook.aio.connect(8080) as client:
        try:
            await client.wait_for(count=2)
        except latehook.WaitTimeout as error:
            return str(error)
        return client.proxy
"""

MISUSE = """
import latehook


def advance(client: latehook.Latehook) -> None:
    client.advance([65])
    client.jobs()[0].statsu
"""


@pytest.mark.slow
def test_the_public_interface_is_typed(tmp_path: Path) -> None:
    (tmp_path / "test_use.py").write_text(USE)
    (tmp_path / "test_misuse.py").write_text(MISUSE)

    command = [sys.executable, "-m", "mypy", "--strict", "test_use.py", "test_misuse.py"]
    printed = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=LONG_LIMIT).stdout

    errors = re.findall(r"^(\S+):\d+: error: .* \[([\w-]+)\]$", printed, re.MULTILINE)
    assert errors == [("test_misuse.py", "arg-type"), ("test_misuse.py", "attr-defined")], printed
