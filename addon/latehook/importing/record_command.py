"""The command `latehook record`: a proxy that records one run of the system with the real third party."""

import argparse
import asyncio
import os
import re
import shlex
import signal
from collections import Counter
from pathlib import Path
from typing import BinaryIO

from mitmproxy import exceptions, http
from mitmproxy.io import FlowWriter
from mitmproxy.options import Options
from mitmproxy.tools.dump import DumpMaster

from latehook.base.counting import number_of
from latehook.base.errors import LatehookError
from latehook.base.hostnames import canonical_host, host_matches

_TO = re.compile(r"(?P<url>https?://[^\s/@]+)@(?P<port>\d+)")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument("--host", action="append", default=[], required=True, help="a host to record; may be repeated")
    parser.add_argument("--to", metavar="URL@PORT", help="pass webhooks that come to PORT on to the system at URL")
    parser.add_argument("--listen-host", default="127.0.0.1", help="the address to listen at (default: 127.0.0.1)")
    parser.add_argument("--listen-port", type=int, default=8080, metavar="PORT", help="its port (default: 8080)")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="an option of mitmproxy")
    parser.add_argument("-o", dest="output", type=Path, required=True, metavar="FILE", help="the flow file to write")


def run(arguments: argparse.Namespace) -> int:
    """Record until Ctrl-C or SIGTERM. Raises LatehookError."""
    hosts = [canonical_host(host) if not host.startswith("*.") else host.lower() for host in arguments.host]
    modes = [f"regular@{arguments.listen_port}"]
    webhooks = None
    if arguments.to is not None:
        webhooks = _TO.fullmatch(arguments.to)
        if webhooks is None:
            raise LatehookError(f"--to {arguments.to}: write URL@PORT, such as http://127.0.0.1:8000@9000")
        modes.append(f"reverse:{webhooks['url']}@{webhooks['port']}")
    with _new_file(arguments.output) as file:
        recorder = Recorder(hosts, file)
        allowed = [_pattern(host) for host in hosts] + ([_target(webhooks["url"])] if webhooks else [])
        options = Options(mode=modes, listen_host=arguments.listen_host, allow_hosts=allowed)
        asyncio.run(_record(options, arguments.set, recorder))
        for line in recorder.summary(arguments.output):
            print(line)
    return 0


def _new_file(output: Path) -> BinaryIO:
    """Open a new file that only its owner can read: it will hold everything that is sent."""
    try:
        return os.fdopen(os.open(output, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")
    except FileExistsError:
        raise LatehookError(f"{output} exists, and is not written over: name another file with -o") from None
    except OSError as error:
        raise LatehookError(f"{output} cannot be written: {error.strerror}") from None


def _pattern(host: str) -> str:
    """Return the regular expression by which mitmproxy recognises connections to a host, as `host:port`."""
    start = r"^(.+\.)" if host.startswith("*.") else "^"
    return rf"(?i){start}{re.escape(host.removeprefix('*.'))}:\d+$"


def _target(url: str) -> str:
    """Return the same for the system that gets the webhooks."""
    address = url.partition("://")[2]
    default = 443 if url.startswith("https") else 80
    return f"^{re.escape(address if ':' in address else f'{address}:{default}')}$"


async def _record(options: Options, more: list[str], recorder: "Recorder") -> None:
    master = DumpMaster(options, with_termlog=True, with_dumper=False)
    master.options.update(termlog_verbosity="warn", keep_host_header=True)
    try:
        master.options.set(*more)
    except exceptions.OptionsError as error:
        raise LatehookError(f"--set: {error}") from None
    master.addons.add(recorder)
    loop = asyncio.get_running_loop()
    for sign in (signal.SIGINT, signal.SIGTERM):
        try:
            loop.add_signal_handler(sign, master.shutdown)
        except NotImplementedError:  # on Windows
            signal.signal(sign, lambda *_: loop.call_soon_threadsafe(master.shutdown))
    await master.run()


class Recorder:
    """mitmproxy's addon: writes the flows of these hosts and all webhooks, and counts the rest."""

    name = "latehook record"

    def __init__(self, hosts: list[str], file: BinaryIO) -> None:
        self._hosts = hosts
        self._file = file
        self._writer = FlowWriter(file)
        self._requests: Counter[str] = Counter()
        self._others: Counter[str] = Counter()
        self._webhooks = 0
        self._last = 0.0

    def running(self) -> None:
        """Say that the proxy listens; mitmproxy calls this."""
        print(f"recording {', '.join(self._hosts)}; Ctrl-C ends the recording", flush=True)

    def http_connect(self, flow: http.HTTPFlow) -> None:
        """Count a tunnel to another host: it passes untouched."""
        host = canonical_host(flow.request.host)
        if not self._is_wanted(host):
            self._others[host] += 1

    def response(self, flow: http.HTTPFlow) -> None:
        """Write an exchange that has ended."""
        self._end(flow, str(flow.response.status_code if flow.response else 0))

    def error(self, flow: http.HTTPFlow) -> None:
        """Write an exchange that has failed."""
        self._end(flow, "failed")

    def _end(self, flow: http.HTTPFlow, result: str) -> None:
        request = flow.request
        host, path = canonical_host(request.pretty_host), request.path.partition("?")[0]
        if flow.client_conn.proxy_mode.type_name == "reverse":
            self._webhooks += 1
            since = f" (+{request.timestamp_start - self._last:.1f} s)" if self._last else ""
            print(f"← webhook {request.method} {path} {result}{since}", flush=True)
        elif self._is_wanted(host):
            self._requests[host] += 1
            self._last = request.timestamp_start
            print(f"→ {request.method} {path} {result}", flush=True)
        else:
            self._others[host] += 1
            return
        self._writer.add(flow)
        self._file.flush()

    def _is_wanted(self, host: str) -> bool:
        return any(host_matches(pattern, host) for pattern in self._hosts)

    def summary(self, output: Path) -> list[str]:
        """Return what was seen, by host, and the command that goes on from here."""
        seen = [f"{host}: {number_of(count, 'request')}" for host, count in sorted(self._requests.items())]
        lines = [*seen, f"webhooks: {self._webhooks}"]
        if self._others:
            total = sum(self._others.values())
            lines.append(
                f"not recorded: {number_of(total, 'connection')} to {number_of(len(self._others), 'other host')}"
            )
        if not self._requests:
            lines.append(f"no request to {', '.join(self._hosts)} was seen: does the system use this proxy?")
            return lines
        hosts = " ".join(f"--host {shlex.quote(host)}" for host in self._hosts)
        lines.append(f"{output} has everything that was sent, secrets too: keep it to yourself. Next:")
        lines.append(f"  latehook infer {shlex.quote(str(output))} {hosts} -o mocks.yaml")
        return lines
