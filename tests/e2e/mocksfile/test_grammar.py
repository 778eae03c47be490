"""Keys of a mocks file that only a real proxy can test: with processes, sockets and certificates."""

import json
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests

from support.certificates import Certificate, certificate
from support.limits import LIMIT
from support.process import Proxy, mitmdump
from support.programs import curl
from support.receivers import Handler, Receiver, answer, receiver
from support.waiting import wait_until

MB = 1024 * 1024

MOCKS = """
mocks:
  - match: POST api.slow.example/race
    response: {json: {id: "{{ job.id }}"}}
    webhook: {after: before-response, to: "{{ env.CALLBACK_URL }}", json: {id: "{{ job.id }}"}}
  - match: POST api.slow.example/slow
    response: {delay: 300ms, text: slow}
  - match: POST api.slow.example/upload
    response: {json: {doc: "{{ request.files.doc }}", sha256: "{{ request.sha256 }}", size: "{{ request.size }}"}}
    webhook: {to: "{{ request.form.callback }}", form: {note: "{{ request.form.note }}"}}
  - match: POST api.slow.example/tls/{how}
    job: {id: "{{ request.path.how }}"}
    stages:
      - {webhook: {to: "{{ request.query.to }}", text: "{{ job.id }} any", verify: false, when: request.path.how == 'any'}}
      - {webhook: {to: "{{ request.query.to }}", text: "{{ job.id }} ours", verify: CA, when: request.path.how == 'ours'}}
      - {webhook: {to: "{{ request.query.to }}", text: "{{ job.id }} strict", retry: none, when: request.path.how == 'strict'}}
  - match: POST api.slow.example/orders
    job: {id: "or_{{ random.base62(12) }}"}
    response: {json: {id: "{{ job.id }}", at: "{{ random.int(1, 1000000) }}"}}
    stages:
      - {status: placed}
      - {after: 65s, status: shipped, webhook: {to: "{{ env.CALLBACK_URL }}", text: "{{ job.id }} {{ job.status }}"}}
  - match: GET api.slow.example/orders/{id}
    lookup: request.path.id
    response: {text: "{{ job.status }}"}
  - match: GET api.slow.example/orders/{id}/shipped
    lookup: request.path.id
    response: {until: job.status == 'shipped', delay: 10m, text: "{{ job.status }}"}
  - {match: GET api.slow.example/never, response: {until: false, delay: 10m}}
"""


@pytest.fixture(scope="module")
def trusted(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    """A receiver's certificate, which no CA of the system has signed."""
    return certificate(tmp_path_factory.mktemp("tls"), "localhost")


@pytest.fixture(scope="module")
def file(trusted: Certificate, tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("mocks") / "mocks.yaml"
    file.write_text(MOCKS.replace("CA,", f"{trusted.ca},"))
    return file


@pytest.fixture(scope="module")
def shared_sut() -> Iterator[Receiver]:
    with receiver() as server:
        yield server


@pytest.fixture
def sut(shared_sut: Receiver) -> Receiver:
    """The receiver of the module's proxy, as if it were new."""
    shared_sut.requests.clear()
    shared_sut.behave = answer()
    return shared_sut


@pytest.fixture(scope="module")
def proxy(file: Path, confdir: Path, shared_sut: Receiver) -> Iterator[Proxy]:
    options = "--set", f"mock_file={file}", "--set", "mock_seed=7", "--set", "mock_speed=100"
    with mitmdump(confdir, *options, env={"CALLBACK_URL": shared_sut.url}) as proxy:
        yield proxy


def post(proxy: Proxy, path: str, **options: object) -> requests.Response:
    url = f"https://api.slow.example{path}"
    return requests.post(url, proxies={"https": proxy.url}, verify=proxy.ca, timeout=LIMIT, **options)  # type: ignore[arg-type]


def test_the_webhook_may_come_before_the_response(proxy: Proxy, sut: Receiver) -> None:
    answered = threading.Event()
    early: list[bool] = []

    def look(handler: Handler, number: int) -> None:
        early.append(not answered.wait(0.2))
        handler.send_response(200)
        handler.send_header("content-length", "0")
        handler.end_headers()

    sut.behave = look
    answer = post(proxy, "/race")
    answered.set()

    assert early == [True]
    assert [json.loads(webhook.body) for webhook in sut.requests] == [answer.json()]


def test_a_response_may_be_delayed(proxy: Proxy) -> None:
    started = time.monotonic()

    assert post(proxy, "/slow").text == "slow"
    assert time.monotonic() - started >= 0.3


def test_fields_after_a_large_file_are_read_and_the_file_has_its_hash(
    proxy: Proxy, sut: Receiver, tmp_path: Path
) -> None:
    large = tmp_path / "large.pdf"
    with large.open("wb") as file:
        for _ in range(40):
            file.write(bytes(MB))
    form = ["-F", f"doc=@{large};type=application/pdf", "-F", f"callback={sut.url}", "-F", "note=a b"]

    sent = curl("-x", proxy.url, "--cacert", proxy.ca, *form, "https://api.slow.example/upload")
    [webhook] = sut.wait(1)

    answer = json.loads(sent.stdout)
    assert answer["doc"]["filename"] == "large.pdf"
    assert (answer["doc"]["type"], answer["doc"]["size"]) == ("application/pdf", 40 * MB)
    assert answer["doc"]["sha256"] == "80a3721188e40218b08b26776bc53bdae81e4784fff71d71450a197319cba113"
    assert answer["size"] > 40 * MB
    assert len(answer["sha256"]) == 64
    assert webhook.body == b"note=a+b"


@pytest.mark.parametrize("how", ["any", "ours"])
def test_a_receivers_certificate_may_be_unverified_or_of_a_ca_that_the_mock_names(
    proxy: Proxy, trusted: Certificate, how: str
) -> None:
    with receiver(tls=trusted.context) as sut:
        post(proxy, f"/tls/{how}", params={"to": f"https://localhost:{sut.port}/"})
        [webhook] = sut.wait(1)

    assert webhook.body.decode() == f"{how} {how}"


def test_a_receivers_certificate_is_verified_by_default(proxy: Proxy, trusted: Certificate) -> None:
    with receiver(tls=trusted.context) as sut:
        post(proxy, "/tls/strict", params={"to": f"https://localhost:{sut.port}/"})
        line = proxy.wait_for("job strict: webhook not delivered")

        assert "certificate" in line
        assert "given up" in line
        assert sut.requests == []


def test_a_lookup_has_the_status_of_the_webhook_on_a_faster_clock(proxy: Proxy, sut: Receiver) -> None:
    def status(id: str) -> str:
        return curl("-x", proxy.url, f"http://api.slow.example/orders/{id}").stdout

    id = post(proxy, "/orders").json()["id"]
    before = status(id)
    [webhook] = sut.wait(1)

    assert (before, status(id)) == ("placed", "shipped")
    assert webhook.body.decode() == f"{id} shipped"


def test_a_long_poll_ends_when_the_job_changes_and_when_its_client_leaves(proxy: Proxy) -> None:
    def waiting() -> int:
        return int(requests.get(f"{proxy.url}/_latehook/status", timeout=LIMIT).json()["waiting"])

    id = post(proxy, "/orders").json()["id"]
    assert curl("-x", proxy.url, f"http://api.slow.example/orders/{id}/shipped").stdout == "shipped"

    for version in ("--http1.1", "--http2"):
        command = ["curl", "-s", version, "-x", proxy.url, "--cacert", proxy.ca, "https://api.slow.example/never"]
        with subprocess.Popen(command) as client:
            wait_until(lambda: waiting() == 1, f"a client waits over {version}")
            client.terminate()
        wait_until(lambda: waiting() == 0, f"no client waits over {version}")


def test_with_a_seed_another_process_gives_the_same_answers(
    start: Callable[..., Proxy], file: Path, sut: Receiver
) -> None:
    def run(seed: int) -> list[bytes]:
        one = start("--set", f"mock_file={file}", "--set", f"mock_seed={seed}", env={"CALLBACK_URL": sut.url})
        return [post(one, "/orders").content for _ in range(3)]

    first, second, third = run(7), run(7), run(8)

    assert first == second
    assert first != third


@pytest.mark.parametrize("option", ["mock_speed=0", "mock_speed=fast", "mock_speed=-1"])
def test_an_invalid_speed_ends_the_start(start: Callable[..., Proxy], option: str) -> None:
    proxy = start("--set", option, mocks="mocks: []", wait=False)

    assert proxy.wait() == 1
    assert f"latehook: {option}: write a number more than 0, such as 60 for an hour a minute" in proxy.output
