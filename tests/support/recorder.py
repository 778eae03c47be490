"""A recorder: mitmdump without Latehook between a system under test and a third party."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from support.limits import LIMIT
from support.paths import MITMDUMP
from support.ports import free_port
from support.process import Proxy, clean_environment
from support.waiting import wait_until


@dataclass
class Recorder:
    """A recording proxy. `hooks` is the port that passes webhooks on."""

    port: int
    hooks: int
    file: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@contextmanager
def run_recorder(third_party: Proxy, receiver: str, hooks: int, file: Path) -> Iterator[Recorder]:
    """Record what goes to the proxy that plays the third party, and the webhooks that come to the port `hooks`."""
    recorder = Recorder(free_port(), hooks, file)
    modes = [f"upstream:{third_party.url}@{recorder.port}", f"reverse:{receiver}@{recorder.hooks}"]
    options = [f"confdir={third_party.confdir}", "keep_host_header=true"]
    options.append(f"ssl_verify_upstream_trusted_ca={third_party.ca}")
    command = [str(MITMDUMP), "--listen-host", "127.0.0.1", "-w", str(file)]
    command += [part for mode in modes for part in ("--mode", mode)]
    command += [part for option in options for part in ("--set", option)]
    process = subprocess.Popen(command, env=clean_environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    printed = Proxy(process, third_party.confdir)
    try:
        wait_until(lambda: printed.output.count("listening at") == 2, "the recorder listens at both ports", LIMIT)
        yield recorder
    finally:
        printed.close()
