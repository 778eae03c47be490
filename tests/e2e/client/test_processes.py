"""`latehook.start` and `latehook.connect`: the proxy's process, and the environment variables for other processes."""

import os
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

import latehook
from latehook.base.errors import LatehookError
from latehook.client.sync import Latehook
from support.jobs import HOST, MOCKS, post
from support.limits import LIMIT
from support.paths import ROOT
from support.process import Proxy
from support.programs import curl
from support.receivers import Receiver, answer
from support.waiting import wait_until


def test_the_environment_variables_send_a_process_through_the_proxy(client: Latehook) -> None:
    env = client.env

    fetched = subprocess.run(
        ["curl", "--silent", "--show-error", "-d", "{}", f"https://{HOST}/jobs"],
        env={"PATH": os.environ["PATH"], **env},
        capture_output=True,
        text=True,
    )

    assert '"id":' in fetched.stdout, fetched.stderr
    assert {name for name in env if name.upper() == "HTTPS_PROXY"} == {"HTTPS_PROXY", "https_proxy"}
    assert "127.0.0.1" in env["NO_PROXY"]
    assert {env[name] for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS")} == {client.ca_bundle}


def test_latehook_env_sends_a_shell_through_the_proxy(start: Callable[..., Proxy]) -> None:
    proxy = start(mocks=MOCKS)
    arguments = ["--port", str(proxy.port), "--confdir", str(proxy.confdir)]
    variables = shlex.join([sys.executable, "-m", "latehook.cli", "env", *arguments])

    fetched = subprocess.run(
        ["bash", "-c", f'eval "$({variables})" && curl --silent --show-error -d {{}} https://{HOST}/jobs'],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT / "addon")},
        capture_output=True,
        text=True,
    )

    assert '"id":' in fetched.stdout, fetched.stderr


def test_connect_uses_a_running_proxy(start: Callable[..., Proxy], sut: Receiver) -> None:
    proxy = start(mocks=MOCKS)

    with latehook.connect(proxy.port) as client:
        post(client, json={"url": sut.url})
        assert curl("-x", proxy.url, "--cacert", client.ca_bundle, "-d", "{}", f"https://{HOST}/jobs").returncode == 0
        assert len(client.jobs()) == 2

    assert proxy.process.poll() is None
    assert not Path(client.ca_bundle).exists()


def test_connect_without_a_proxy_names_the_url() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

    with pytest.raises(LatehookError, match=rf"does not answer at http://127.0.0.1:{port}/_latehook/: .*; does its"):
        with latehook.connect(port):
            pass


def test_connect_to_another_program_shows_its_response(sut: Receiver) -> None:
    sut.behave = answer(404, b"<h1>nothing here</h1>")

    with pytest.raises(LatehookError, match=r"the server there is not Latehook: 404 .*nothing here"):
        with latehook.connect(sut.port):
            pass


@pytest.mark.parametrize(
    ("mocks", "options", "words"),
    [
        ("mocks:\n  - mach: a", {}, "mocks.yaml:2: mocks[0].mach: the key 'mach' is not known; did you mean 'match'?"),
        (None, {"mock_sped": "60"}, "the option mock_sped is not known; did you mean 'mock_speed'?"),
    ],
)
def test_a_start_that_fails_raises_an_error_with_the_reason(
    mocks: str | None, options: dict[str, str], words: str
) -> None:
    with pytest.raises(LatehookError) as raised:
        with latehook.start(mocks, **options):
            pass

    assert str(raised.value).startswith("the proxy ended with status 1 while it started:\n")
    assert words in str(raised.value)


async def test_start_and_connect_have_async_versions(sut: Receiver) -> None:
    async with latehook.aio.start(MOCKS) as own, latehook.aio.connect(int(own.proxy.rpartition(":")[2])) as same:
        await own.vars(verdict="failed")
        seen = await same.vars()

    assert seen["verdict"] == "failed"


def test_the_package_imports_its_dependencies_at_the_first_use() -> None:
    script = "import sys, latehook, latehook.pytest_plugin; print({'httpx', 'msgspec', 'asyncio'} & {*sys.modules})"
    imported = subprocess.run(
        [sys.executable, "-c", script], env={"PYTHONPATH": str(ROOT / "addon")}, capture_output=True, text=True
    )

    assert "httpx" not in imported.stdout
    assert "msgspec" not in imported.stdout
    assert imported.returncode == 0, imported.stderr
    with pytest.raises(AttributeError, match="has no attribute 'conect'"):
        latehook.conect  # noqa: B018


def test_the_proxy_ends_when_the_process_that_started_it_is_killed() -> None:
    script = "import latehook, time\nwith latehook.start() as own: print(own.proxy, flush=True); time.sleep(600)"
    parent = subprocess.Popen(
        [sys.executable, "-c", script], env={**os.environ, "PYTHONPATH": str(ROOT / "addon")}, stdout=subprocess.PIPE
    )
    assert parent.stdout is not None
    with parent, parent.stdout:
        port = int(parent.stdout.readline().rpartition(b":")[2])
        assert _listens(port)
        parent.send_signal(signal.SIGKILL)

    wait_until(lambda: not _listens(port), "the proxy's end")


def _listens(port: int) -> bool:
    """Return whether somebody listens at the port."""
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), LIMIT):
        return True
    return False
