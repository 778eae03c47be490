"""A store in PostgreSQL: restarts of the process and of the server, a broken network, passwords."""

import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

import latehook
from support import postgres
from support.limits import LIMIT
from support.load import Load
from support.postgres import PASSWORD, PASSWORD_USER, PostgresServer
from support.process import Proxy, mitmdump
from support.programs import curl
from support.receivers import Receiver, answer
from support.relay import Relay
from support.stored_jobs import MOCKS, post
from support.waiting import wait_until


def status(proxy: Proxy) -> Any:
    return json.loads(curl(f"{proxy.url}/_latehook/status").stdout)


@pytest.fixture
def start_with(start: Callable[..., Proxy], sut: Receiver) -> Callable[..., Proxy]:
    """Start a proxy with the store at a URL."""

    def start_with(url: str, after: str = "1h", **env: str) -> Proxy:
        env = {"CALLBACK_URL": sut.url, "EXTRA": "x", **env}
        return start("--set", f"mock_store={url}", mocks=MOCKS.replace("AFTER", after), env=env)

    return start_with


def test_webhooks_holds_and_clock_outlive_the_process(
    start_with: Callable[..., Proxy], postgres_server: PostgresServer, sut: Receiver
) -> None:
    url = postgres_server.url("restart")
    killed = threading.Event()
    sut.behave = lambda handler, number: killed.wait(LIMIT)
    proxy = start_with(url, "0s")
    cut = post(proxy)
    sut.wait(1)
    with latehook.connect(proxy.port) as client:
        client.hold()
        held = post(proxy)
        client.vars["verdict"] = "bad"
        client.advance("30m")
    clock = status(proxy)["clock"]["now"]
    proxy.kill()
    killed.set()
    sut.behave = answer(200)

    again = start_with(url, "0s")
    again.wait_for("2 webhooks still owed from before")
    now = status(again)
    assert (now["holding"], now["vars"]["verdict"]) == (True, "bad")
    assert clock <= now["clock"]["now"] < clock + LIMIT
    with latehook.connect(again.port) as client:
        client.release()
    first, *others = sut.wait(3)

    assert sorted(json.loads(webhook.body)["id"] for webhook in others) == sorted([cut, held])
    [repeated] = [webhook for webhook in others if json.loads(webhook.body)["id"] == cut]
    assert repeated.body == first.body  # although `uuid()` in it gives another value each time
    assert repeated.headers["x-attempt"] == first.headers["x-attempt"] == "1"


@contextmanager
def stopped(server: PostgresServer) -> Iterator[None]:
    server.stop()
    try:
        yield
    finally:
        server.start()


@contextmanager
def cut(relay: Relay) -> Iterator[None]:
    relay.cut()
    try:
        yield
    finally:
        relay.mend()


@pytest.mark.slow
def test_a_server_that_is_away_for_a_while_loses_and_doubles_nothing(
    start_with: Callable[..., Proxy], sut: Receiver
) -> None:
    """Both a server that crashes and a network that breaks, under load."""
    with postgres.server() as server, Relay(server.port) as relay:
        proxy = start_with(server.url("load", relay.port), "1s")
        with Load(rate=100) as load:
            load.send_to(proxy.port)
            for away in (stopped(server), cut(relay)):
                load.wait_for_more(50)
                with away:
                    load.refused = 0
                    wait_until(lambda: load.refused, "a 503 while the store is away")
                    assert "the store cannot" in status(proxy)["detail"]
                load.wait_for_more(50)
        wait_until(lambda: not status(proxy)["counts"]["webhooks"]["pending"], "nothing is owed")

    times = Counter(json.loads(webhook.body)["id"] for webhook in sut.requests)
    assert set(times) == set(load.answered)
    doubled = {id for id, number in times.items() if number > 1}
    bodies = {webhook.body for webhook in sut.requests}
    assert len(bodies) == len(times)  # what was sent twice is the same attempt
    assert len(doubled) <= 128, "only attempts that were under way are made again"


def line_of_failed_start(url: str, confdir: Path, **env: str) -> str:
    env = {"CALLBACK_URL": "http://127.0.0.1:9/", **env}
    with mitmdump(confdir, "--set", f"mock_store={url}", env=env, wait=False) as proxy:
        assert proxy.wait() == 1
        [line] = [line for line in proxy.lines if "latehook: " in line or "addon/latehook" in line]
        assert PASSWORD not in proxy.output and quote(PASSWORD, safe="") not in proxy.output
        return line


def test_its_password_is_shown_nowhere(
    start_with: Callable[..., Proxy], postgres_server: PostgresServer, confdir: Path
) -> None:
    where = f"@127.0.0.1:{postgres_server.port}/postgres?schema=secured"
    url = f"postgresql://{PASSWORD_USER}:{quote(PASSWORD, safe='')}{where}"
    shown = f"postgresql://{PASSWORD_USER}{where}"
    proxy = start_with(url)
    proxy.wait_for("ready")

    line = line_of_failed_start(url.replace(PASSWORD_USER + ":", PASSWORD_USER + ":wrong"), confdir)
    assert line.startswith(f"latehook: mock_store={shown}: password authentication failed")
    assert line.endswith("correct user and password: in the URL, PGPASSWORD or ~/.pgpass")
    line = line_of_failed_start(
        f"postgresql://{PASSWORD_USER}@/other",
        confdir,
        PGPASSWORD=PASSWORD,
        PGHOST="127.0.0.1",
        PGPORT=str(postgres_server.port),
    )
    assert (
        line
        == f'latehook: mock_store=postgresql://{PASSWORD_USER}@/other: database "other" does not exist: create the database, or name another one'
    )
    assert PASSWORD not in proxy.output and quote(PASSWORD, safe="") not in proxy.output
    for path in ("status", "jobs", ""):
        shown_there = curl(f"{proxy.url}/_latehook/{path}").stdout
        assert PASSWORD not in shown_there and quote(PASSWORD, safe="") not in shown_there
