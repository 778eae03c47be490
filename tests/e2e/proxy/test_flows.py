"""mitmproxy's flows: one for each attempt, in flow files, HAR files and mitmweb, and the job's id in the comments of requests."""

import json
import re
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from mitmproxy import http
from mitmproxy.connection import Client, Server
from mitmproxy.io import FlowReader, FlowWriter

from latehook.base.messages import WebhookFault
from latehook.delivery.transport import MAX_ANSWER
from support.certificates import certificate
from support.mitmproxy_commands import Commands
from support.ports import free_port
from support.process import Proxy, mitmdump, mitmweb
from support.programs import curl
from support.raw_servers import raw_server
from support.receivers import Handler, Receiver, answer, receiver
from support.waiting import wait_until

PUBLIC = "https://hooks.acme.example"
PRODUCTION = "http://203.0.113.7/hook"
MOCKS = """\
defaults:
  webhook:
    after: 0s
    to: "{{ request.json.to }}"
    query: {id: "{{ job.id }}"}
    json: {id: "{{ job.id }}"}
    event: done
    sign: {scheme: github, secret: sesame of these tests}
    retry: []
mocks:
  - match: GET api.slow.example/health
    response: {text: well}
  - match: GET api.slow.example/jobs/{id}
    lookup: request.path.id
    response: {text: there}
"""
KINDS = {
    "jobs": "",
    "again": "retry: [1ms]",
    "impatient": "timeout: 300ms",
    "following": "redirects: 1",
    **{fault: f"fault: {fault}" for fault in WebhookFault},
}
"""Keys of the webhook, by the first segment of the path of the request."""

for kind, more in KINDS.items():
    MOCKS += f"""\
  - match: POST api.slow.example/{kind}/{{id}}
    job: {{id: "{{{{ request.path.id }}}}"}}
    webhook: {{{more}}}
"""


def ask(proxy: str, path: str, to: str | None = None) -> str:
    """Send a GET, or a POST with the callback URL `to`; return the body of the response."""
    body = [] if to is None else ["--json", json.dumps({"to": to})]
    return curl("-x", proxy, *body, f"http://api.slow.example/{path}").stdout


def read(file: Path) -> list[http.HTTPFlow]:
    with file.open("rb") as opened:
        return [flow for flow in FlowReader(opened).stream() if isinstance(flow, http.HTTPFlow)]


def behave(handler: Handler, number: int) -> None:
    """Answer 503 to the first request to /down, a long body to /long, a redirect to /moved, else the request's number."""
    path = urlsplit(handler.path).path
    is_first = sum(urlsplit(seen.path).path == path for seen in handler.server.requests) == 1
    if path == "/down" and is_first:
        answer(503, b"later")(handler, number)
    elif path == "/moved":
        answer(307, b"moved", location="/landed")(handler, number)
    elif path == "/long":
        answer(200, b"x" * (MAX_ANSWER + 1))(handler, number)
    else:
        answer(202, b"%d" % number, x_number=str(number))(handler, number)


def never_answer(connection: socket.socket) -> None:
    while connection.recv(65536):
        pass


def answer_half(connection: socket.socket) -> None:
    connection.recv(65536)
    connection.sendall(b"HTTP/1.1 200 Fine\r\ncontent-length: 10\r\n\r\nhal")


class Recorded:
    """The flow file and the HAR file of a mitmdump: flows of requests, and flows of attempts."""

    def __init__(self, folder: Path, sut: Receiver) -> None:
        self.file = folder / "flows"
        flows = read(self.file)
        har = json.loads((folder / "flows.har").read_text())
        self.requests = [flow for flow in flows if not flow.marked]
        self.attempts = [flow for flow in flows if flow.marked]
        self.in_har = [entry["request"]["url"] for entry in har["log"]["entries"]]
        self.sut = sut

    def of(self, job: str) -> list[http.HTTPFlow]:
        return [flow for flow in self.attempts if f"job {job}, " in flow.comment]

    def only(self, job: str) -> http.HTTPFlow:
        [flow] = self.of(job)
        return flow


def callbacks(sut: str) -> dict[str, str]:
    """Return the callback URL of each job by its path: at the SUT, at a port without a receiver, or not allowed."""
    nobody = f"http://127.0.0.1:{free_port()}"
    return {
        "jobs/answered": f"{sut}/a%2fb?q=1",
        "jobs/long": f"{sut}/long",
        "again/retried": f"{sut}/down",
        "following/moved": f"{sut}/moved",
        "jobs/of-sesame%20of%20these%20tests": nobody,
        "jobs/nobody": nobody,
        "jobs/mapped": f"{PUBLIC}/hook",
        "jobs/production": PRODUCTION,
        "jobs/back": "http://api.slow.example/jobs/loop",
        **{f"{fault}/{fault}": f"{sut}/{fault}" for fault in WebhookFault},
    }


@pytest.fixture(scope="module")
def recorded(confdir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Recorded]:
    """Run one process that makes attempts of every kind."""
    folder = tmp_path_factory.mktemp("flows")
    (folder / "mocks.yaml").write_text(MOCKS)
    tls = certificate(folder / "tls", "localhost").context
    options = [f"mock_file={folder}/mocks.yaml", "flow_detail=0", f"hardump={folder}/flows.har"]
    with (
        receiver(behave) as sut,
        receiver(tls=tls) as untrusted,
        raw_server(never_answer) as silent,
        raw_server(answer_half) as breaking,
    ):
        options.append(f"mock_targets={PUBLIC}={sut.url}")
        arguments = [part for option in options for part in ("--set", option)]
        with mitmdump(confdir, *arguments, "-w", str(folder / "flows")) as proxy:
            jobs = {
                **callbacks(sut.url),
                "impatient/silent": f"http://127.0.0.1:{silent}/",
                "jobs/untrusted": f"https://localhost:{untrusted.port}/",
                "jobs/half": f"http://127.0.0.1:{breaking}/",
            }
            for path, to in jobs.items():
                ask(proxy.url, path, to)
            proxy.wait_for("webhook (delivered|not delivered, .*given up)", count=len(jobs))
            ask(proxy.url, "jobs/answered")
            ask(proxy.url, "health")
            assert proxy.stop() == 0
        yield Recorded(folder, sut)


def test_the_flow_of_an_attempt_has_the_request_and_its_response(recorded: Recorded) -> None:
    flow = recorded.only("answered")
    [got] = [request for request in recorded.sut.requests if request.path.startswith("/a%2fb")]

    assert (flow.request.method, flow.request.pretty_url) == ("POST", f"{recorded.sut.url}/a%2fb?q=1&id=answered")
    assert {name.lower(): value for name, value in flow.request.headers.items()} == got.headers
    assert "x-hub-signature-256" in got.headers
    assert flow.request.content == got.body == b'{"id":"answered"}'
    assert flow.response is not None
    number = str(recorded.sut.requests.index(got))
    assert (flow.response.status_code, flow.response.text, flow.response.headers["x-number"]) == (202, number, number)
    assert flow.error is None
    assert flow.server_conn.address == ("127.0.0.1", recorded.sut.port)


def test_the_server_of_the_flow_is_where_the_url_is_mapped_to(recorded: Recorded) -> None:
    flow = recorded.only("mapped")

    assert flow.request.pretty_url == f"{PUBLIC}/hook?id=mapped"
    assert flow.request.host_header == "hooks.acme.example"
    assert flow.server_conn.address == ("127.0.0.1", recorded.sut.port)
    assert flow.response is not None


def test_the_flow_has_the_times_of_the_attempt(recorded: Recorded) -> None:
    flow = recorded.only("answered")
    [got] = [request for request in recorded.sut.requests if request.path.startswith("/a%2fb")]

    assert flow.response is not None
    times = [flow.request.timestamp_start, got.at, flow.response.timestamp_start, flow.response.timestamp_end]
    assert times == sorted(times)  # type: ignore[type-var]
    times[1] = flow.request.timestamp_end  # when the receiver has read it need not be after it was all handed over
    assert times == sorted(times)  # type: ignore[type-var]
    assert flow.timestamp_created == flow.timestamp_start == flow.request.timestamp_start


def test_the_flow_is_marked_and_its_comment_names_the_webhook(recorded: Recorded) -> None:
    flow = recorded.only("answered")

    assert flow.marked == ":outbox_tray:"
    assert re.fullmatch(r"latehook: job answered, webhook [-0-9a-f]{36} \(done\), attempt 1", flow.comment)


def test_each_attempt_is_a_flow_of_its_own(recorded: Recorded) -> None:
    first, second = recorded.of("retried")

    assert [flow.response and flow.response.status_code for flow in (first, second)] == [503, 202]
    assert [flow.comment.rpartition(", ")[2] for flow in (first, second)] == ["attempt 1", "attempt 2"]
    assert first.response is not None
    assert first.response.timestamp_end is not None
    assert first.response.timestamp_end <= second.request.timestamp_start
    assert first.metadata == second.metadata  # it is the same webhook


@pytest.mark.parametrize(
    ("job", "error", "went_out"),
    [
        ("nobody", "Connection refused", False),
        ("silent", r"no answer within 0\.3 s", True),
        ("untrusted", "TLS: ", False),
        ("production", r"203\.0\.113\.7 .*mock_targets", False),
        ("back", "api.slow.example is mocked here", False),
        ("drop", r"dropped on purpose \(fault\)", False),
    ],
)
def test_the_flow_of_an_attempt_without_a_response_has_the_error(
    recorded: Recorded, job: str, error: str, went_out: bool
) -> None:
    flow = recorded.only(job)

    assert flow.response is None
    assert flow.error is not None
    assert re.search(error, flow.error.msg)
    assert re.fullmatch(rf"/[^?]*\?id={job}", flow.request.path)
    assert flow.request.content == b'{"id":"%s"}' % job.encode()
    assert "x-hub-signature-256" in flow.request.headers
    assert (flow.request.timestamp_end is not None) == went_out
    assert flow.request.timestamp_start <= flow.error.timestamp


def test_a_response_that_broke_off_is_shown_without_its_body(recorded: Recorded) -> None:
    flow = recorded.only("half")

    assert flow.response is not None
    assert (flow.response.status_code, flow.response.reason, flow.response.raw_content) == (200, "Fine", None)
    assert flow.error is not None
    assert "in the middle of its answer" in flow.error.msg


def test_the_beginning_of_a_long_response_is_shown(recorded: Recorded) -> None:
    flow = recorded.only("long")

    assert flow.response is not None
    assert flow.response.raw_content == b"x" * MAX_ANSWER
    assert flow.response.headers["content-length"] == str(MAX_ANSWER + 1)


@pytest.mark.parametrize("fault", WebhookFault)
def test_the_comment_names_the_fault(recorded: Recorded, fault: WebhookFault) -> None:
    flow = recorded.only(fault)
    got = [request for request in recorded.sut.requests if urlsplit(request.path).path == f"/{fault}"]

    assert flow.comment.endswith(f", attempt 1, fault: {fault}")
    assert len(got) == {WebhookFault.DROP: 0, WebhookFault.DUPLICATE: 2}.get(fault, 1)
    assert {flow.request.content} >= {request.body for request in got}  # as it was sent, corrupt or not
    assert flow.response is None or flow.response.text == flow.response.headers["x-number"]  # of two, all of one


def test_the_flow_of_an_attempt_with_a_redirect_is_its_last_request(recorded: Recorded) -> None:
    flow = recorded.only("moved")

    assert (flow.request.method, flow.request.pretty_url) == ("POST", f"{recorded.sut.url}/landed")
    assert flow.request.content == b'{"id":"moved"}'
    assert flow.response is not None and flow.response.status_code == 202
    assert flow.comment.endswith(f", attempt 1, 307 led to {recorded.sut.url}/landed")


def test_the_comment_of_a_request_names_its_job(recorded: Recorded) -> None:
    comments = {(flow.request.method, flow.request.path): flow.comment for flow in recorded.requests}

    assert comments["POST", "/jobs/answered"] == "latehook: job answered"
    assert comments["GET", "/jobs/answered"] == "latehook: job answered"  # a lookup
    assert comments["GET", "/health"] == ""


def test_an_attempt_does_not_count_as_a_request(recorded: Recorded) -> None:
    assert ("POST", "/jobs/loop") not in {(flow.request.method, flow.request.path) for flow in recorded.requests}
    assert recorded.of("loop") == []
    assert len(recorded.attempts) == 17  # of 16 jobs
    assert len(recorded.requests) == 16 + 2


def test_a_har_file_has_requests_and_attempts(recorded: Recorded) -> None:
    assert sorted(recorded.in_har) == sorted(flow.request.url for flow in recorded.requests + recorded.attempts)


MADE = """
from mitmproxy import http
init = http.HTTPFlow.__init__

def print_and_init(self, *arguments, **more):
    print("a flow is made", flush=True)
    init(self, *arguments, **more)

http.HTTPFlow.__init__ = print_and_init
addons = []
"""


def test_flows_are_made_only_while_they_are_used(
    start: Callable[..., Proxy], sut: Receiver, commands: Commands, tmp_path: Path
) -> None:
    (tmp_path / "made.py").write_text(MADE)
    proxy = start("-s", str(tmp_path / "made.py"), *commands.arguments, "--set", "flow_detail=0", mocks=MOCKS)

    def deliver(job: str) -> None:
        ask(proxy.url, f"jobs/{job}", sut.url)
        proxy.wait_for(f"job {job}: webhook delivered")

    def command(line: str, number: int) -> None:
        commands.send(line)
        proxy.wait_for("result: ", count=number)

    deliver("unseen")
    command(f"set save_stream_file {tmp_path}/flows", 1)
    deliver("seen")
    command("set save_stream_file", 2)
    deliver("unseen-again")
    assert proxy.stop() == 0

    assert {flow.comment.partition(",")[0] for flow in read(tmp_path / "flows")} == {"latehook: job seen"}
    assert len(read(tmp_path / "flows")) == 2
    assert proxy.lines.count("a flow is made") == 3 + 1  # mitmproxy's of each request, and one of ours


def test_mitmweb_lists_attempts_and_the_jobs_of_requests(confdir: Path, tmp_path: Path, sut: Receiver) -> None:
    (tmp_path / "mocks.yaml").write_text(MOCKS)
    port, web = free_port(), free_port()
    with mitmweb(confdir, tmp_path, port, web):
        ask(f"http://127.0.0.1:{port}", "jobs/shown", sut.url)
        ask(f"http://127.0.0.1:{port}", "jobs/lost", f"http://127.0.0.1:{free_port()}/")

        def listed() -> list[dict[str, object]]:
            return json.loads(curl(f"http://127.0.0.1:{web}/flows?token=open").stdout)

        wait_until(lambda: len(listed()) == 4, "two requests and two attempts are listed")
        flows = {(flow["comment"].partition(",")[0], bool(flow["marked"])): flow for flow in listed()}

    assert flows["latehook: job shown", False]["request"]["path"] == "/jobs/shown"
    assert flows["latehook: job shown", True]["response"]["status_code"] == 200
    assert flows["latehook: job shown", True]["marked"] == "📤"
    assert "refused" in flows["latehook: job lost", True]["error"]["msg"]


def test_comments_hide_secrets(recorded: Recorded) -> None:
    [request] = [flow for flow in recorded.requests if "sesame" in flow.request.path]
    [attempt] = recorded.of("of-***")

    assert request.comment == "latehook: job of-***"
    assert attempt.request.content == b'{"id":"of-sesame of these tests"}'  # it is what the receiver gets


def test_mitmproxys_replay_does_not_send_attempts(
    recorded: Recorded, start: Callable[..., Proxy], tmp_path: Path
) -> None:
    before = len(recorded.sut.requests)
    with (tmp_path / "attempts").open("wb") as file:
        for flow in recorded.attempts:
            FlowWriter(file).add(flow)
    proxy = start("-C", str(tmp_path / "attempts"), "-w", str(tmp_path / "replayed"), mocks=MOCKS, wait=False)
    assert proxy.wait() == 0

    replayed = read(tmp_path / "replayed")
    assert len(replayed) == len(recorded.attempts)
    for flow in replayed:
        assert flow.response is not None
        assert flow.response.status_code == 409
        assert f"`mock.resend {flow.metadata['latehook_webhook']}` sends it again" in (flow.response.text or "")
    assert len(recorded.sut.requests) == before
    assert "latehook: job" not in proxy.output


def test_saved_flows_of_attempts_are_read_back_unchanged(
    recorded: Recorded, start: Callable[..., Proxy], tmp_path: Path
) -> None:
    proxy = start("-n", "-r", str(recorded.file), "-w", str(tmp_path / "again"), mocks=MOCKS, wait=False)
    assert proxy.wait() == 0

    # By their ids: what has an answer and an error too is saved by mitmproxy twice.
    before, after = ({flow.id: flow.get_state() for flow in read(f)} for f in (recorded.file, tmp_path / "again"))
    assert after == before


def test_flows_that_are_read_from_a_file_do_not_count_as_requests(start: Callable[..., Proxy], tmp_path: Path) -> None:
    (tmp_path / "mocks.yaml").write_text("mocks: [{match: ANY localhost/**, response: forward}]")
    saved = http.HTTPFlow(Client(peername=("", 0), sockname=("", 0)), Server(address=("localhost", 80)))
    saved.request = http.Request.make("GET", "http://localhost/health")
    saved.response = http.Response.make(204)
    with (tmp_path / "saved").open("wb") as file:
        FlowWriter(file).add(saved)

    options = (
        "--set",
        f"mock_file={tmp_path / 'mocks.yaml'}",
        "-r",
        str(tmp_path / "saved"),
        "--set",
        "keepserving=true",
    )
    proxy = start(*options)
    proxy.wait_for("GET http://localhost/health")

    assert json.loads(curl(f"{proxy.url}/_latehook/requests").stdout)["items"] == []
