"""A pytest plugin that lets the gallery's tests record, or play inferred mocks.

With GALLERY_RECORD=FOLDER the providers' files play the third parties, and a recorder (mitmdump without Latehook) stands
between them and the tests: its flow file is in the folder. With GALLERY_PLAY=FILE the mocks of this file stand in for
the providers' own. Start pytest with `-p support.gallery_round_trip`.
"""

import os
import re
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import support.gallery
from latehook.mocksfile.loading import load
from support.gallery import FILES, LONG_DELAY, SPEED, Gallery
from support.limits import LIMIT
from support.paths import MITMDUMP
from support.ports import free_port
from support.process import Proxy, clean_environment, mitmdump
from support.receivers import Behave, Receiver, receiver
from support.waiting import wait_until

DELAY = "4s"
"""When recorded jobs are done: so late that the stages before can be told apart."""
SLOTS = 8
"""Workers of pytest-xdist that record at the same time, at most."""
RECEIVERS = 24
"""Receivers that one process of tests has at most, one after the other."""


def secrets() -> dict[str, str]:
    """Return what a user of the providers knows besides the recording, by the names of environment variables.

    That is what signs the webhooks, the ids of an account and of a webhook's registration, and a token.
    """
    found = {"DEEPGRAM_TOKEN": "a0b1c2d3-key-id"}
    for file in FILES:
        name = re.sub(r"[^A-Z]", "_", file.stem.upper())
        for secret in re.findall(r"env\.WEBHOOK_SECRET \| default\('([^']+)'\)", file.read_text()):
            found[f"{name}_SECRET"] = secret
        found |= dict(re.findall(r"env\.(VONAGE_KEY|PAYPAL_WEBHOOK_ID) \| default\('([^']+)'\)", file.read_text()))
        for value in load([file], {"CALLBACK_URL": "http://app.test/"}).vars.values():
            if isinstance(value, str) and "PRIVATE KEY" in value:
                found[f"{name}_KEY"] = value
    return found


# Record


def _own_port() -> int:
    """Return a free port. Processes that look for ports at the same time find others."""
    slot = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:]) % SLOTS
    return next(port for port in iter(free_port, None) if port % SLOTS == slot)


class _Recorder:
    """A recorder in front of two third parties, and of all receivers that the tests will start."""

    def __init__(self, confdir: Path, file: Path) -> None:
        self.confdir = confdir
        self._held: dict[int, socket.socket] = {}
        self.hooks = {self._hold(): _own_port() for _ in range(RECEIVERS)}
        self.third_parties = {delay: (self._hold(), _own_port()) for delay in (DELAY, LONG_DELAY)}
        self._free = iter(self.hooks)
        modes = [f"upstream:http://127.0.0.1:{port}@{own}" for port, own in self.third_parties.values()]
        modes += [f"reverse:http://127.0.0.1:{port}@{hook}" for port, hook in self.hooks.items()]
        ca = confdir / "mitmproxy-ca-cert.pem"
        options = [f"confdir={confdir}", "keep_host_header=true", f"ssl_verify_upstream_trusted_ca={ca}"]
        command = [str(MITMDUMP), "--listen-host", "127.0.0.1", "-w", str(file)]
        command += [part for mode in modes for part in ("--mode", mode)]
        command += [part for option in options for part in ("--set", option)]
        process = subprocess.Popen(command, env=clean_environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.process = Proxy(process, confdir)
        wait_until(
            lambda: self.process.output.count("listening at") == len(modes), "the recorder listens at all ports", LIMIT
        )

    def _hold(self) -> int:
        """Return a port that nobody else gets before `release`: other processes look for ports at the same time."""
        held = socket.socket()
        held.bind(("127.0.0.1", _own_port()))
        port: int = held.getsockname()[1]
        self._held[port] = held
        return port

    def release(self, port: int) -> int:
        """Return a port that is to be used now."""
        self._held.pop(port).close()
        return port

    def next_receiver(self) -> int:
        """Return the port of the next receiver."""
        return self.release(next(self._free))


_recorder: list[_Recorder] = []


def _behind_the_recorder() -> None:
    """Let each receiver be reached through the recorder: that is what its `port` and `url` name."""
    start = Receiver.__init__

    def init(self: Receiver, behave: Behave | None = None, port: int = 0) -> None:
        start(self, behave, port or (_recorder[0].next_receiver() if _recorder else 0))

    Receiver.__init__ = init  # type: ignore[method-assign]
    Receiver.port = property(  # type: ignore[method-assign, assignment]
        lambda self: (_recorder[0].hooks if _recorder else {}).get(self.server_address[1], self.server_address[1])
    )


@contextmanager
def _recording(confdir: Path, delay: str) -> Iterator[Gallery]:
    folder = Path(os.environ["GALLERY_RECORD"])
    if not _recorder:
        worker = os.environ.get("PYTEST_XDIST_WORKER", "main")
        _recorder.append(_Recorder(confdir, folder / f"{worker}.flow"))
    port, own = _recorder[0].third_parties[delay]
    files = [part for file in FILES for part in ("--set", f"mock_file={file}")]
    with receiver() as registered:
        env = {"CALLBACK_URL": f"{registered.url}/registered", "DELAY": delay}
        with mitmdump(confdir, *files, "-p", str(_recorder[0].release(port)), env=env) as third_party:
            third_party.port = own  # the tests' proxy is the recorder
            yield Gallery(third_party, registered)


# Play


def with_delay(mocks: str) -> str:
    """Return inferred mocks whose jobs are done after the environment variable DELAY, as the tests expect it."""
    return re.sub(r"after: ((?:35|45|55)00ms|[456]s)(?=[,}\n])", "after: \"{{ env.DELAY | default('\\1') }}\"", mocks)


@contextmanager
def _playing(confdir: Path, delay: str) -> Iterator[Gallery]:
    with receiver() as registered:
        env = {"CALLBACK_URL": f"{registered.url}/registered", **secrets()}
        if delay == LONG_DELAY:
            env["DELAY"] = LONG_DELAY
        files = ("--set", f"mock_file={os.environ['GALLERY_PLAY']}", "--set", f"mock_speed={SPEED}")
        with mitmdump(confdir, *files, env=env) as proxy:
            yield Gallery(proxy, registered)


def _start_gallery(confdir: Path, **env: str) -> Iterator[Gallery]:
    start = _recording if "GALLERY_RECORD" in os.environ else _playing
    with ExitStack() as stack:
        yield stack.enter_context(start(confdir, env.get("DELAY", DELAY)))


def pytest_sessionfinish() -> None:
    for recorder in _recorder:
        recorder.process.close()


support.gallery.start_gallery = _start_gallery
if "GALLERY_RECORD" in os.environ:
    _behind_the_recorder()
