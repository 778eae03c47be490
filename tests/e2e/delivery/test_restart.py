"""A store file: what is owed outlives the process, however it ends."""

import http.client
import json
import os
import random
import re
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from support.mitmproxy_commands import Commands
from support.process import Proxy, mitmdump
from support.programs import curl
from support.receivers import Handler, Receiver, answer
from support.waiting import wait_until

MOCKS = """
vars: {verdict: good}
mocks:
  - match: POST api.slow.example/jobs
    job: {id: "{{ request.json.id or uuid() }}"}
    response: {json: {id: "{{ job.id }}"}}
    webhook:
      to: "{{ env.CALLBACK_URL }}"
      json: {id: "{{ job.id }}", status: "{{ job.status }}", nonce: "{{ uuid() }}", secret: "{{ env.EXTRA }}"}
      headers: {x-webhook: "{{ webhook.id }}", x-attempt: "{{ webhook.attempt }}"}
      retry: [1s, 1s, 1s]
    stages:
      - {after: AFTER, status: first, webhook: true}
      - {after: 1h, status: second}
  - match: GET api.slow.example/jobs/{id}
    lookup: request.path.id
    response: {json: {status: "{{ job.status }}"}}
"""


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "store.sqlite"


Start = Callable[..., Proxy]


@pytest.fixture
def begin(start: Start, store: Path, sut: Receiver) -> Start:
    """Start with the store; `after` is when the webhook is due, `without` a variable that is not set."""

    def begin(after: str = "2s", *arguments: str, mocks: str = MOCKS, without: str = "", **env: str) -> Proxy:
        env = {"CALLBACK_URL": sut.url, "EXTRA": "x", **env}
        env.pop(without, None)
        return start("--set", f"mock_store={store}", *arguments, mocks=mocks.replace("AFTER", after), env=env)

    return begin


def post(proxy: Proxy, **document: str) -> str:
    sent = curl("-x", proxy.url, "-d", json.dumps(document), "http://api.slow.example/jobs")
    return str(json.loads(sent.stdout)["id"])


def test_what_is_owed_is_delivered_after_the_process_was_killed(begin: Start, sut: Receiver) -> None:
    proxy = begin()
    ids = [post(proxy) for _ in range(5)]
    proxy.kill()

    again = begin()
    webhooks = sut.wait(5)

    assert "5 webhooks still owed from before" in again.output
    assert sorted(json.loads(webhook.body)["id"] for webhook in webhooks) == sorted(ids)
    assert {webhook.headers["x-attempt"] for webhook in webhooks} == {"1"}


def test_one_that_became_due_meanwhile_goes_out_at_once_and_others_at_their_time(begin: Start, sut: Receiver) -> None:
    proxy = begin("300ms")
    began = time.time()
    post(proxy, id="overdue")
    proxy.kill()
    wait_until(lambda: time.time() > began + 0.4, "it is due")

    again = begin("300ms")
    [webhook] = sut.wait(1)

    assert json.loads(webhook.body)["id"] == "overdue"
    assert post(again, id="next") == "next"
    assert json.loads(sut.wait(2)[1].body)["id"] == "next"


def test_a_lookup_answers_after_a_restart_and_its_clock_has_gone_on(begin: Start) -> None:
    proxy = begin("1s")
    post(proxy, id="a")
    began = time.time()
    proxy.kill()
    again = begin("1s")
    wait_until(lambda: time.time() > began + 1.1, "the stage is due")

    seen = curl("-x", again.url, "http://api.slow.example/jobs/a").stdout

    assert json.loads(seen) == {"status": "first"}


def test_a_retry_after_a_restart_says_the_same_with_the_next_number(begin: Start, sut: Receiver) -> None:
    sut.behave = answer(503)
    proxy = begin("0s")
    post(proxy)
    sut.wait(1)
    proxy.wait_for("attempt 1")
    proxy.kill()
    sut.behave = answer(200)

    begin("0s")
    first, second = sut.wait(2)[:2]

    assert first.body == second.body
    assert first.headers["x-webhook"] == second.headers["x-webhook"]
    assert (first.headers["x-attempt"], second.headers["x-attempt"]) == ("1", "2")


def test_an_attempt_that_was_cut_is_made_again_with_the_same_number_and_content(begin: Start, sut: Receiver) -> None:
    waits = threading.Event()
    sut.behave = lambda handler, number: waits.wait(20)  # type: ignore[assignment]
    proxy = begin("0s")
    post(proxy)
    sut.wait(1)
    proxy.kill()
    waits.set()
    sut.behave = answer(200)

    begin("0s")

    first, second = sut.wait(2)
    assert [first.headers["x-attempt"], second.headers["x-attempt"]] == ["1", "1"]
    assert first.body == second.body  # though each `uuid()` in it is another
    assert first.headers["x-webhook"] == second.headers["x-webhook"]


def test_a_job_ends_as_it_began_though_its_mock_has_left_the_file(begin: Start, sut: Receiver) -> None:
    proxy = begin()
    id = post(proxy)
    proxy.kill()

    begin(mocks="mocks: [{match: GET other.example/}]")
    [webhook] = sut.wait(1)

    assert json.loads(webhook.body)["id"] == id


def test_one_whose_mock_cannot_be_brought_back_fails_with_the_reason(begin: Start, sut: Receiver) -> None:
    proxy = begin()
    post(proxy)
    proxy.kill()

    again = begin(mocks="mocks: [{match: GET other.example/}]", without="EXTRA")

    again.wait_for("webhook failed: .*EXTRA is not set")


def test_holds_and_the_clock_are_as_they_were(begin: Start, sut: Receiver, commands: Commands) -> None:
    proxy = begin("1h", *commands.arguments)
    post(proxy, id="a")
    commands.send("mock.hold")
    proxy.wait_for("latehook: hold: done")
    commands.send("mock.advance 2h")
    proxy.wait_for("latehook: advance 2h: done")
    proxy.kill()

    again = begin("1h", *commands.arguments)
    seen = curl("-x", again.url, "http://api.slow.example/jobs/a").stdout
    assert (json.loads(seen), list(sut.requests)) == ({"status": "second"}, [])
    commands.send("mock.release")
    [webhook] = sut.wait(1)

    assert json.loads(webhook.body)["status"] == "first"


def test_mitmproxys_commands_are_the_operations(begin: Start, sut: Receiver, commands: Commands) -> None:
    proxy = begin("1h", *commands.arguments)

    def command(line: str, says: str) -> str:
        commands.send(line)
        return proxy.wait_for(says)

    post(proxy, id="a")
    listed = command("mock.pending", r"result: \['[-0-9a-f]{36} pending 3\d{3}\.\d s http")
    found = re.search(r"'([-0-9a-f]{36}) ", listed)
    assert found is not None
    command(f"mock.hold {found[1]}", "latehook: hold .*: done")
    command(f"mock.release {found[1]}", "latehook: release .*: done")
    command(f"mock.fire {found[1]}", "latehook: fire .*: done")
    sut.wait(1)
    proxy.wait_for("webhook delivered, attempt 1")
    command(f"mock.resend {found[1]}", "latehook: resend .*: done")
    sut.wait(2)
    proxy.wait_for("webhook delivered, attempt 2")
    command("mock.fire nobody", "latehook: fire nobody: there is no webhook 'nobody'")
    post(proxy, id="b")
    command("mock.hold job=b", "latehook: hold job=b: done")
    command("mock.pending", r"result: \['[-0-9a-f]{36} held ")
    command("mock.release state=held \"where=job.id == 'b'\"", "latehook: release state=held .*: done")
    command("mock.cancel sate=held", "latehook: cancel sate=held: there is no filter 'sate'; did you mean 'state'?")
    command("mock.cancel", "latehook: cancel: done")
    command("mock.advance 2h", "latehook: advance 2h: done")
    command("mock.reset job=b", "latehook: reset job=b: done")
    command("mock.reset", "latehook: reset: done")
    command("mock.pending", r"result: \[\]")

    assert len(sut.requests) == 2


def test_after_a_reset_a_seed_gives_what_it_gave_at_the_start(begin: Start, commands: Commands) -> None:
    proxy = begin("1h", *commands.arguments, "--set", "mock_seed=7")
    at_the_start = [post(proxy), post(proxy)]
    commands.send("mock.reset")
    proxy.wait_for("latehook: reset: done")

    assert [post(proxy), post(proxy)] == at_the_start


# A store that cannot be used


def ends_at_the_start(begin: Callable[..., Proxy], store: Path, confdir: Path) -> str:
    with mitmdump(
        confdir, "--set", f"mock_store={store}", env={"CALLBACK_URL": "http://127.0.0.1:9/"}, wait=False
    ) as it:
        assert it.wait() == 1
        [line] = [line for line in it.lines if "latehook" in line]
        return line


def test_a_file_that_is_no_database_ends_the_start(begin: Start, store: Path, confdir: Path) -> None:
    store.write_text("not a database, and long enough to be looked at " * 50)

    assert ends_at_the_start(begin, store, confdir) == (
        f"latehook: mock_store={store}: this is no SQLite database: name another file"
    )


def test_another_programs_database_ends_the_start(begin: Start, store: Path, confdir: Path) -> None:
    with sqlite3.connect(store) as db:
        db.execute("CREATE TABLE theirs (a)")

    assert "this is another program's database: name another file" in ends_at_the_start(begin, store, confdir)


def test_a_newer_store_ends_the_start(begin: Start, store: Path, confdir: Path) -> None:
    with sqlite3.connect(store) as db:
        db.execute("PRAGMA user_version = 99")

    assert "it is of a newer Latehook: use that one, or another file" in ends_at_the_start(begin, store, confdir)


def test_a_folder_that_is_not_there_ends_the_start(begin: Start, store: Path, confdir: Path) -> None:
    line = ends_at_the_start(begin, store.parent / "nowhere" / "store.sqlite", confdir)

    assert "it cannot be opened for writing: name a file in a folder that is there" in line


def test_a_store_that_another_process_has_ends_the_start(begin: Start, store: Path, confdir: Path) -> None:
    begin()

    assert "another process has it: end that one, or name another file" in ends_at_the_start(begin, store, confdir)


# Violence


class Load:
    """Posts so many a second, and notes which were answered; it does not mind that the proxy dies.

    Each of its threads has times of its own: one that is late makes up for it.
    """

    def __init__(self, rate: float, threads: int = 8) -> None:
        self.answered: list[str] = []
        self.cut = 0
        self.seconds = 0.0
        self._pause = threads / rate
        self._port = 0
        self._since = 0.0
        self._done = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(n / rate,), daemon=True) for n in range(threads)]

    def at(self, port: int) -> None:
        """Post there from now on; to 0 nothing is."""
        now = time.monotonic()
        if self._port:
            self.seconds += now - self._since
        self._port, self._since = port, now

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        for thread in self._threads:
            thread.join(10)

    def _run(self, first: float) -> None:
        while not self._done.wait(0.005):
            if port := self._port:
                connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
                due = time.monotonic() + first
                under_way = False
                try:
                    connection.connect()
                    while not self._done.wait(max(due - time.monotonic(), 0.0)) and port == self._port:
                        due += self._pause
                        under_way = True
                        connection.request("POST", "http://api.slow.example/jobs", b"{}")
                        response = connection.getresponse()
                        body = response.read()
                        under_way = False
                        if response.status == 200:
                            self.answered.append(json.loads(body)["id"])
                except (OSError, http.client.HTTPException):
                    self.cut += under_way  # else it is down, and nothing was asked
                finally:
                    connection.close()


ROUNDS = int(os.environ.get("LATEHOOK_ROUNDS", "4"))
"""The full proof has 25 and more."""


def test_whoever_was_answered_is_called_back_though_the_process_is_killed_again_and_again(
    begin: Start, sut: Receiver
) -> None:
    chance = random.Random(4)
    sut.behave = answer(200)

    with Load(rate=100) as load:
        for _ in range(ROUNDS):
            proxy = begin("500ms", EXTRA="x")
            load.at(proxy.port)
            time.sleep(chance.uniform(0.2, 1.5))
            proxy.kill()
            load.at(0)
    begin("500ms")

    def received() -> Counter[str]:
        return Counter(json.loads(webhook.body)["id"] for webhook in list(sut.requests))

    wait_until(lambda: set(load.answered) <= set(received()), "every answered job is called back", limit=30)
    unanswered = set(received()) - set(load.answered)
    twice = [id for id, count in received().items() if count > 1]
    print(
        f"{ROUNDS} rounds, {load.seconds:.1f} s of load: {len(load.answered)} answered"
        f" ({len(load.answered) / load.seconds:.0f} a second), {load.cut} cut;"
        f" {len(unanswered)} received and not answered, {len(twice)} received twice, {max(received().values())} at most"
    )
    assert len(load.answered) > 10 * ROUNDS
    assert len(unanswered) <= load.cut
    assert len(twice) <= 128 * ROUNDS  # cut in flight: at most those under way at each kill
    assert max(received().values()) <= 3


def test_a_process_that_is_asked_to_end_sends_nothing_twice(begin: Start, sut: Receiver) -> None:
    def slowly(handler: Handler, number: int) -> None:
        time.sleep(0.3)
        answer(200)(handler, number)

    sut.behave = slowly
    with Load(rate=60) as load:
        for _ in range(3):
            proxy = begin("100ms")
            load.at(proxy.port)
            time.sleep(1)
            load.at(0)
            assert proxy.stop() == 0
    begin("100ms")

    wait_until(
        lambda: {json.loads(webhook.body)["id"] for webhook in list(sut.requests)} >= set(load.answered),
        "every answered job is called back",
    )
    counted = Counter(json.loads(webhook.body)["id"] for webhook in sut.requests)
    assert set(counted.values()) == {1}
