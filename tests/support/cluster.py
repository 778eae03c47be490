"""Several mitmdump processes behind haproxy: with one CA, one receiver, and one store in PostgreSQL or a memory of each."""

import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import latehook
from support import balancer
from support.ports import free_port
from support.process import Proxy, mitmdump
from support.receivers import Receiver

TOKEN = "t0ken"


class Cluster:
    """Instances, numbered from 0. Each has its own folder, with a copy of the CA and of the mocks file.

    `port` is haproxy's. `cuts` has the times (Unix seconds) at which a test killed or paused an instance. `store` is the
    option `mock_store` of all of them; without it, each has a memory of its own.
    """

    def __init__(self, folder: Path, confdir: Path, mocks: str, sut: Receiver, count: int, store: str | None) -> None:
        self.port = 0
        self.cuts: list[float] = []
        self.sut = sut
        self._store = store
        self._folders = [folder / f"instance-{number}" for number in range(count)]
        for own in self._folders:
            shutil.copytree(confdir, own / "confdir")
            (own / "mocks.yaml").write_text(mocks)
        self.ports = [free_port() for _ in range(count)]
        self._stacks = [ExitStack() for _ in range(count)]
        self.instances: list[Proxy] = []

    @property
    def url(self) -> str:
        """The URL of haproxy, as clients write that of a proxy."""
        return f"http://127.0.0.1:{self.port}"

    def start(self, number: int, *arguments: str) -> Proxy:
        """Start an instance, at its own port."""
        folder = self._folders[number]
        options = [f"mock_file={folder / 'mocks.yaml'}", f"mock_token={TOKEN}", "flow_detail=0"]
        options += [f"mock_store={self._store}"] if self._store else []
        arguments += tuple(word for option in options for word in ("--set", option))
        started = mitmdump(
            folder / "confdir", "-p", str(self.ports[number]), *arguments, env={"CALLBACK_URL": self.sut.url}
        )
        return self._stacks[number].enter_context(started)

    def restart(self, number: int) -> None:
        """Start an instance again that has ended."""
        self._stacks[number].close()
        self.instances[number] = self.start(number)

    def kill(self, number: int) -> None:
        """End an instance as a crash does."""
        self.cuts.append(time.time())
        self.instances[number].kill()

    def stop(self, number: int) -> None:
        """Ask an instance to end, and wait until it has ended."""
        assert self.instances[number].stop() == 0

    @contextmanager
    def paused(self, number: int) -> Iterator[None]:
        """Stop the instance's process (SIGSTOP) until the end of the block: it then goes on as if nothing had been."""
        process = self.instances[number].process
        self.cuts.append(time.time())
        process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            process.send_signal(signal.SIGCONT)

    @contextmanager
    def client(self, number: int | None = None) -> Iterator[latehook.Latehook]:
        """Connect a client to an instance, or through haproxy to any of them."""
        with latehook.connect(self.port if number is None else self.ports[number], token=TOKEN) as client:
            yield client

    def close(self) -> None:
        for stack in self._stacks:
            stack.close()


@contextmanager
def cluster(
    folder: Path, confdir: Path, mocks: str, sut: Receiver, count: int, store: str | None = None
) -> Iterator[Cluster]:
    """Run instances behind haproxy until the end of the block. Skip the test where there is no haproxy."""
    balancer.require()
    made = Cluster(folder, confdir, mocks, sut, count, store)
    try:
        made.instances = [made.start(number) for number in range(count)]
        with balancer.balancer(folder, made.ports) as made.port:
            yield made
    finally:
        made.close()
