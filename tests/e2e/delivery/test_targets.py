"""`mock_targets` of a real mitmdump: which receivers webhooks may go to, and where they are mapped to."""

import hashlib
import hmac
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.process import Proxy, mitmdump
from support.programs import curl
from support.receivers import Receiver, receiver

MOCKS = """\
mocks:
  - match: POST api.slow.example/jobs
    response: {json: {id: "{{ job.id }}"}}
    webhook:
      to: "{{ request.json.to }}"
      json: {id: "{{ job.id }}"}
      sign: {secret: s, message: "{url}", headers: {x-signature: "{signature}"}}
  - {match: GET 127.0.0.2:9/, response: {status: 200}}
"""


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("targets") / "mocks.yaml"
    file.write_text(MOCKS)
    return file


def options(file: Path, *targets: str) -> list[str]:
    settings = [f"mock_file={file}", *(f"mock_targets={target}" for target in targets)]
    return [part for setting in settings for part in ("--set", setting)]


@pytest.fixture(scope="module")
def mapped(confdir: Path, file: Path) -> Iterator[tuple[Proxy, Receiver]]:
    """A proxy that maps https://*.acme.com to a receiver, and the receiver."""
    with (
        receiver() as server,
        mitmdump(confdir, *options(file, "a.example", f"https://*.acme.com={server.url}")) as proxy,
    ):
        yield proxy, server


@pytest.fixture(scope="module")
def opened(confdir: Path, file: Path) -> Iterator[Proxy]:
    """A proxy that allows webhooks to every name and address, and maps one host to a mocked one."""
    with mitmdump(confdir, *options(file, "*", "0.0.0.0/0", "https://mapped.example=http://127.0.0.2:9")) as proxy:
        yield proxy


def start_job(proxy: Proxy, to: str) -> str:
    """Return the id of a job whose webhook goes to this URL."""
    answered = curl("-x", proxy.url, "--json", json.dumps({"to": to}), "http://api.slow.example/jobs")
    return str(json.loads(answered.stdout)["id"])


def test_a_public_address_is_refused_with_one_line_that_names_the_option(mapped: tuple[Proxy, Receiver]) -> None:
    proxy, _ = mapped

    job = start_job(proxy, "http://203.0.113.1/hook")
    line = proxy.wait_for(f"job {job}: ")

    assert line.endswith(
        f"latehook: job {job}: webhook not delivered, attempt 1: http://203.0.113.1/hook: refused: 203.0.113.1 is a public "
        "address: --set mock_targets=203.0.113.1 would open it to webhooks; given up"
    )


def test_a_mapped_webhook_is_delivered_and_its_public_url_is_signed(mapped: tuple[Proxy, Receiver]) -> None:
    proxy, server = mapped

    job = start_job(proxy, "https://hooks.acme.com/hook?a=%2f")
    proxy.wait_for(f"job {job}: webhook delivered, attempt 1: https://hooks.acme.com/hook.a=%2f: 200")

    [request] = server.requests
    assert (request.path, request.headers["host"]) == ("/hook?a=%2f", "hooks.acme.com")
    url = b"https://hooks.acme.com/hook?a=%2f"
    assert request.headers["x-signature"] == hmac.new(b"s", url, hashlib.sha256).hexdigest()


@pytest.mark.parametrize("to", ["http://127.0.0.1:PORT/jobs", "http://[::ffff:127.0.0.1]:PORT/", "http://0x7f.1:PORT/"])
def test_the_proxys_own_port_is_refused_although_every_target_is_allowed(opened: Proxy, to: str) -> None:
    job = start_job(opened, to.replace("PORT", str(opened.port)))
    line = opened.wait_for(f"job {job}: .*given up")

    assert re.search(rf": refused: \S+:{opened.port} is Latehook's own port; ", line)


@pytest.mark.parametrize(
    "to",
    ["http://api.slow.example/jobs", "http://127.0.0.2:9/", "http://[::ffff:127.0.0.2]:9/", "https://mapped.example/"],
)
def test_mocked_hosts_are_refused_although_every_target_is_allowed(opened: Proxy, to: str) -> None:
    job = start_job(opened, to)
    line = opened.wait_for(f"job {job}: .*given up")

    assert "is mocked here, so the webhook would come back to Latehook" in line


def test_an_invalid_entry_ends_the_start(confdir: Path, file: Path) -> None:
    with mitmdump(confdir, *options(file, "https://hooks.acme.com"), wait=False) as proxy:
        assert proxy.wait() == 1
        assert proxy.lines[-1].startswith(
            "latehook: mock_targets=https://hooks.acme.com: an entry that is not a mapping has no scheme: write a host"
        )
