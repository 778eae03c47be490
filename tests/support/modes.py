"""Proxies in every mode of mitmproxy, and the servers around them."""

import json
import re
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from support.certificates import Certificate, certificate
from support.forward_proxy import ForwardProxy, forward_proxy
from support.limits import PROMPT
from support.ports import free_port
from support.process import HOST, Proxy, mitmdump
from support.programs import curl
from support.raw_servers import raw_server
from support.receivers import Receiver, receiver
from support.waiting import wait_until

PATH = "/api/endpoint?some_parameter="
"""The mocked path; its response has the parameter's value."""

BY_ADDRESS = "by-address.slow.example"
"""A mocked host whose name the client resolves: the proxy gets its address, and only TLS or the Host header has the name."""

OTHER = "other.example"
"""A host that is not mocked."""

FORWARDED = "forwarded.example"
"""A mocked host whose path `/path` is forwarded."""

GREETING = b"220 mail.example ready\r\n"
"""What the server sends that speaks first."""

MOCK = """
  - match: ANY {host}/api/endpoint
    response:
      json: {{mocked: "{{{{ request.query.some_parameter }}}}"}}
    webhook:
      to: {sut}/hook
      query: {{some_parameter: "{{{{ request.query.some_parameter }}}}"}}
"""


@dataclass
class Servers:
    """A third party that must never be reached, other servers, an upstream proxy, and the receiver of webhooks.

    `certificate` is that of `other_tls`; `greeter` is the port of a server that speaks first.
    """

    third_party: Receiver
    other: Receiver
    other_tls: Receiver
    certificate: Certificate
    upstream: ForwardProxy
    greeter: int
    sut: Receiver

    @property
    def mocks(self) -> str:
        """The mocks file for them."""
        hosts = HOST, f"localhost:{self.third_party.port}", BY_ADDRESS
        ports = "".join(f"  - match: GET {BY_ADDRESS}:{server.port}/none\n" for server in (self.other, self.other_tls))
        forward = f"  - {{match: 'GET {FORWARDED}/path', response: forward}}\n"
        return "mocks:\n" + forward + ports + "".join(MOCK.format(host=host, sut=self.sut.url) for host in hosts)

    def other_for(self, scheme: str) -> Receiver:
        return self.other_tls if scheme == "https" else self.other


@contextmanager
def run_servers(folder: Path) -> Iterator[Servers]:
    own = certificate(folder, "localhost", OTHER, FORWARDED)
    with ExitStack() as stack:
        yield Servers(
            third_party=stack.enter_context(receiver()),
            other=stack.enter_context(receiver()),
            other_tls=stack.enter_context(receiver(tls=own.context)),
            certificate=own,
            upstream=stack.enter_context(forward_proxy()),
            greeter=stack.enter_context(raw_server(_greet)),
            sut=stack.enter_context(receiver()),
        )


def _greet(connection: socket.socket) -> None:
    connection.sendall(GREETING)
    connection.recv(1)


@dataclass
class Proxies:
    """The ports of the modes, and the processes that listen there."""

    ports: dict[str, int]
    processes: list[Proxy]
    servers: Servers

    def url(self, scheme: str) -> str:
        """Return the URL of the SOCKS proxy, or of the one with an upstream proxy, for curl's option -x."""
        return f"{scheme}://127.0.0.1:{self.ports['socks5' if scheme.startswith('socks5') else 'upstream']}"

    @property
    def ca(self) -> str:
        return self.processes[0].ca

    @property
    def output(self) -> str:
        return "\n".join(process.output for process in self.processes)

    def check_mocked(self, url: str, *arguments: str) -> None:
        """Send a request to a mocked host with curl; check its response and wait for its webhook."""
        value = uuid4().hex
        done = curl("--fail-with-body", *arguments, url + value, limit=PROMPT)
        assert done.stdout, f"{done.stderr}\n{self.output}"
        assert json.loads(done.stdout) == {"mocked": value}
        received = self.servers.sut.requests
        wait_until(lambda: value in {hook.query["some_parameter"] for hook in received}, "the webhook")

    def check_nothing_mocked_was_contacted(self) -> None:
        servers = self.servers
        assert servers.third_party.connections == 0
        mocked = re.compile(rf"{re.escape(HOST)}|{re.escape(BY_ADDRESS)}|localhost:{servers.third_party.port}")
        assert [asked for asked in servers.upstream.asked if mocked.search(asked)] == []
        tried = re.compile(r"server connect |error establishing")
        assert [line for line in self.output.splitlines() if tried.search(line) and mocked.search(line)] == []
        assert "Name or service not known" not in self.output
        assert "Traceback" not in self.output and "crashed" not in self.output


@contextmanager
def run_proxies(servers: Servers, confdir: Path, folder: Path, together: bool) -> Iterator[Proxies]:
    """Run a proxy in each mode: all in one process, or the modes in processes of their own."""
    file = folder / "mocks.yaml"
    file.write_text(servers.mocks)
    modes = {
        "reverse http": f"reverse:http://{HOST}",
        "reverse https": f"reverse:https://{HOST}",
        "reverse http, a name": f"reverse:http://localhost:{servers.third_party.port}",
        "reverse https, a name": f"reverse:https://localhost:{servers.third_party.port}",
        "reverse other": f"reverse:http://127.0.0.1:{servers.other.port}",
        "reverse other tls": f"reverse:https://localhost:{servers.other_tls.port}",
        "reverse dead": f"reverse:http://127.0.0.1:{free_port()}",
        "socks5": "socks5",
        "upstream": f"upstream:{servers.upstream.url}",
        "regular": "regular",
    }
    ports = {name: free_port() for name in modes}
    given = {name: ("--mode", f"{spec}@{ports[name]}") for name, spec in modes.items()}
    if together:
        processes = [[argument for arguments in given.values() for argument in arguments]]
    else:
        reverse = [argument for name in modes if name.startswith("reverse") for argument in given[name]]
        processes = [reverse, *([*given[name]] for name in ("socks5", "upstream", "regular"))]
    options = "--set", f"mock_file={file}", "--set", f"ssl_verify_upstream_trusted_ca={servers.certificate.ca}"
    with ExitStack() as stack:
        started = [stack.enter_context(mitmdump(confdir, *options, *arguments, wait=False)) for arguments in processes]
        for process in started:
            process.wait_for("latehook: ready")
        yield Proxies(ports, started, servers)
