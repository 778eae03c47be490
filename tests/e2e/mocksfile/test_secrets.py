"""Secrets of the environment and of the mocks file, in a real mitmdump: they are sent, and never shown."""

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from support.mitmproxy_commands import Commands
from support.process import Proxy, mitmdump
from support.programs import curl, latehook
from support.receivers import Handler, Receiver, answer

ENV = {
    "API_KEY": "k/5ecret+key",
    "CALLBACK_TOKEN": "callback-t0ken",
    "BOT_TOKEN": "123456:bot-t0ken",
    "db_password": "pa55 word",
}
SIGNING = "s1gning-secret"
MOCKS = """
mocks:
  - match: POST api.slow.example/jobs
    job: {idempotency_key: "{{ request.headers.authorization }}"}
    response: {json: {key: "{{ env.API_KEY }}"}}
    webhook:
      after: AFTER
      to: "{{ env.CALLBACK_URL }}/hook?token={{ env.CALLBACK_TOKEN }}&key={{ env.API_KEY | urlencode }}"
      json: {password: "{{ env.db_password }}"}
      sign: {scheme: bearer, secret: s1gning-secret}
  - match: POST api.slow.example/bot{{ env.BOT_TOKEN }}/send
    name: "send for {{ env.BOT_TOKEN }}"
    webhook: {to: "nowhere:{{ env.CALLBACK_TOKEN }}/{{ job.id }}"}
  - match: POST api.slow.example/fails
    webhook: {to: "{{ env.CALLBACK_URL }}", headers: {x-key: "{{ env.API_KEY ~ request.query.end }}"}}
  - match: GET api.slow.example/status
    response: {status: "{{ env.API_KEY ~ request.query.end }}"}
  - match: GET api.slow.example/jobs/{id}
    lookup: request.path.id
  - match: GET api.slow.example/when
    when: request.headers.authorization == 's1gning-secret'
"""
ALL = (*ENV.values(), "k%2F5ecret%2Bkey", "pa55%20word", SIGNING)

Start = Callable[..., Proxy]


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "store.sqlite"


@pytest.fixture
def begin(start: Start, store: Path, sut: Receiver, commands: Commands) -> Start:
    """Start a proxy with a store file and without mitmproxy's own lines about requests."""

    def begin(after: str = "0s", *arguments: str, mocks: str = MOCKS) -> Proxy:
        arguments = ("--set", f"mock_store={store}", "--set", "flow_detail=0", *commands.arguments, *arguments)
        return start(*arguments, mocks=mocks.replace("AFTER", after), env={"CALLBACK_URL": sut.url, **ENV})

    return begin


def ask(proxy: Proxy, path: str, *arguments: str) -> str:
    return curl("-x", proxy.url, *arguments, f"http://api.slow.example{path}").stdout


def shown_in(text: str) -> list[str]:
    """Return the secrets that are in a text."""
    return [secret for secret in ALL if secret in text]


def readable(store: Path) -> str:
    """Return all texts in the tables of a store file, and the answers of receivers."""
    with sqlite3.connect(store) as db:
        tables = [name for (name,) in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
        cells = [cell for table in tables for row in db.execute(f"SELECT * FROM {table}") for cell in row]
        bodies = [body.decode() for (body,) in db.execute("SELECT body FROM attempt")]
    return "\n".join([cell for cell in cells if isinstance(cell, str)] + bodies)


def test_secrets_are_sent_but_not_logged_or_readable_in_the_store(begin: Start, sut: Receiver, store: Path) -> None:
    def echo(handler: Handler, number: int) -> None:
        answer(200, str(handler.headers).encode() + sut.requests[number].body)(handler, number)

    sut.behave = echo
    proxy = begin()

    answered = ask(proxy, "/jobs", "-d", "x")
    [webhook] = sut.wait(1)
    line = proxy.wait_for("webhook delivered")

    assert json.loads(answered) == {"key": "k/5ecret+key"}
    assert webhook.path == "/hook?token=callback-t0ken&key=k/5ecret%2Bkey"
    assert webhook.headers["authorization"] == f"Bearer {SIGNING}"
    assert json.loads(webhook.body) == {"password": "pa55 word"}
    assert f"{sut.url}/hook?token=***&key=***: 200" in line
    assert shown_in(proxy.output) == []
    assert shown_in(readable(store)) == []
    assert f"{sut.url}/hook?token=***&key=***" in readable(store)
    assert "Authorization: Bearer ***" in readable(store)


def test_a_webhook_goes_to_its_real_url_after_a_restart(
    begin: Start, sut: Receiver, store: Path, commands: Commands
) -> None:
    proxy = begin("1h")
    ask(proxy, "/jobs", "-d", "x")
    proxy.kill()
    assert "token=***" in readable(store)
    again = begin("1h", mocks="mocks: [{match: GET other.example/}]")  # the job brings its secret back

    commands.send("mock.pending")
    listed = again.wait_for("result: .* pending ")
    commands.send("mock.advance 1h")
    [webhook] = sut.wait(1)
    again.wait_for("webhook delivered")

    assert f"{sut.url}/hook?token=***&key=*** (job " in listed
    assert webhook.path == "/hook?token=callback-t0ken&key=k/5ecret%2Bkey"
    assert webhook.headers["authorization"] == f"Bearer {SIGNING}"
    assert shown_in(again.output) == []


def test_two_idempotency_keys_that_are_redacted_stay_different(begin: Start, store: Path) -> None:
    proxy = begin("1h")
    for authorization in ("k/5ecret+key", "callback-t0ken", "k/5ecret+key"):
        ask(proxy, "/jobs", "-d", "x", "-H", f"authorization: {authorization}")

    with sqlite3.connect(store) as db:
        assert db.execute("SELECT count(*) FROM job").fetchone() == (2,)
    assert shown_in(readable(store)) == []


def test_errors_do_not_show_secrets(begin: Start, store: Path) -> None:
    proxy = begin()

    answers = {
        path: ask(proxy, path, *arguments)
        for path, *arguments in (
            ["/status?end=1"],
            ["/jobs/callback-t0ken"],
            ["/when"],
            ["/nothing?key=k%2F5ecret%2Bkey&pa55+word", "-H", "x: y"],
        )
    }
    ask(proxy, "/bot123456:bot-t0ken/send", "-d", "x")
    not_a_url = proxy.wait_for("webhook failed: its `to`")
    ask(proxy, "/fails?end=%0a", "-d", "x")
    not_a_header = proxy.wait_for("webhook failed: .*line break")

    assert json.loads(answers["/status?end=1"])["error"].endswith(
        "status is '***1': it must be a number from 200 to 599"
    )
    assert json.loads(answers["/jobs/callback-t0ken"]) == {
        "error": "latehook: there is no job '***'",
        "request": {"method": "GET", "url": "http://api.slow.example/jobs/***"},
    }
    assert "when is false: request.headers.authorization == '***'" in answers["/when"]
    assert "http://api.slow.example/nothing?key=***&***" in answers["/nothing?key=k%2F5ecret%2Bkey&pa55+word"]
    assert "its `to` is 'nowhere:***/" in not_a_url
    assert "headers.x-key: '***\\n' has a line break" in not_a_header
    assert "send for ***" in readable(store)
    assert shown_in("\n".join([*answers.values(), proxy.output, readable(store)])) == []


def test_the_secrets_of_an_edited_file_are_added(begin: Start, sut: Receiver, tmp_path: Path) -> None:
    proxy = begin()
    file = tmp_path / "mocks.yaml"
    text = MOCKS.replace("AFTER", "0s")
    file.write_text(text.replace(SIGNING, "an0ther-secret").replace("/hook?", "/{{ request.query.path }}?"))
    proxy.wait_for("reloaded")

    ask(proxy, f"/jobs?path=an0ther-secret/{SIGNING}", "-d", "x")
    sut.wait(1)
    line = proxy.wait_for("webhook delivered")
    file.write_text(
        text.replace(SIGNING, "a-third-secret").replace("response:", "times: a-third-secret\n    response:")
    )
    broken = proxy.wait_for("the previous mocks stay in use")

    assert sut.requests[0].path.startswith(f"/an0ther-secret/{SIGNING}?")
    assert f"{sut.url}/***/***?token=***" in line
    assert "times: '***' is not a number of requests" in broken


def test_a_traceback_does_not_show_secrets(begin: Start, tmp_path: Path) -> None:
    breaks = tmp_path / "breaks.py"
    breaks.write_text("""
import os
from latehook.mocks import decide

def answer(*_):
    raise RuntimeError("it was " + os.environ["API_KEY"])

decide.decide = answer
""")
    proxy = begin("0s", "-s", str(breaks))

    answered = ask(proxy, "/jobs", "-d", "x")

    assert json.loads(answered)["error"] == "latehook: an internal error: RuntimeError"
    proxy.wait_for(r"RuntimeError: it was \*\*\*")
    assert shown_in(proxy.output) == []


@pytest.mark.parametrize(
    ("option", "says"),
    [
        ("mock_workers=k/5ecret+key", "mock_workers=***: write a whole number from 1"),
        ("mock_targets=k/5ecret+key", "mock_targets=***: '***' does not appear to be an IPv4 or IPv6 network"),
        ("mock_k/5ecret+key=1", "the option mock_*** is not known"),
        ("mock_store=/nowhere/callback-t0ken/store", "mock_store=/nowhere/***/store: it cannot be opened"),
    ],
)
def test_a_failed_start_does_not_show_secrets(confdir: Path, sut: Receiver, option: str, says: str) -> None:
    with mitmdump(confdir, "--set", option, env={"CALLBACK_URL": sut.url, **ENV}, wait=False) as proxy:
        assert proxy.wait() == 1

    [line] = [line for line in proxy.lines if "latehook: " in line]
    assert says in line
    assert shown_in(line) == []


def test_a_refused_value_of_an_option_is_not_shown(begin: Start, commands: Commands) -> None:
    proxy = begin()

    commands.send("set mock_workers=k/5ecret+key")

    proxy.wait_for(r"result: latehook: mock_workers=\*\*\*: write a whole number")
    assert shown_in(proxy.output) == []


def test_latehook_check_does_not_show_secrets(tmp_path: Path) -> None:
    file = tmp_path / "mocks.yaml"
    file.write_text(MOCKS.replace("AFTER", "1s"))

    checked = latehook("check", file, CALLBACK_URL="http://app.test", **ENV)

    assert checked.returncode == 0
    assert "send for ***: POST api.slow.example/bot***/send" in checked.stdout
    assert "sends POST http://app.test/hook?token=***&key=*** with JSON: password" in checked.stdout
    assert "if request.headers.authorization == '***'" in checked.stdout
    assert shown_in(checked.stdout) == []
