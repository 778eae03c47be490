"""The process is stopped for a while, as by SIGSTOP or the lid of a laptop, while attempts are under way."""

import json
import signal
import threading
import time

import pytest

from support.limits import LIMIT
from support.process import Proxy
from support.programs import curl
from support.receivers import Handler, Receiver, answer
from support.stored_jobs import Start
from support.waiting import wait_until

MOCKS = """
mocks:
  - match: POST api.slow.example/jobs
    webhook:
      to: "{{ env.CALLBACK_URL }}"
      timeout: TIMEOUT
      retry: [1s, 1s]
      json: {}
"""
ATTEMPTS = 20


def stop(proxy: Proxy, seconds: float, while_stopped: threading.Event) -> None:
    """Stop the process for so many seconds; set the event at their beginning."""
    proxy.process.send_signal(signal.SIGSTOP)
    while_stopped.set()
    end = time.monotonic() + seconds
    wait_until(lambda: time.monotonic() > end, "the process was stopped long enough")
    proxy.process.send_signal(signal.SIGCONT)


@pytest.mark.parametrize(("timeout", "seconds"), [("1s", 3.0), ("1s", 1.1), ("300ms", 2.0)])
def test_an_answer_that_came_while_the_process_was_stopped_counts(
    start_with_store: Start, sut: Receiver, timeout: str, seconds: float
) -> None:
    stopped = threading.Event()

    def answers_once_it_is_stopped(handler: Handler, number: int) -> None:
        stopped.wait(LIMIT)
        answer()(handler, number)

    sut.behave = answers_once_it_is_stopped
    proxy = start_with_store(mocks=MOCKS.replace("TIMEOUT", timeout))
    mocked = [f"http://api.slow.example/jobs?{number}" for number in range(ATTEMPTS)]
    assert curl("-f", "-Z", "-x", proxy.url, "-d", "{}", *mocked).returncode == 0
    sut.wait(ATTEMPTS)

    stop(proxy, seconds, stopped)
    proxy.wait_for("webhook delivered, attempt 1", count=ATTEMPTS)

    assert "not delivered" not in proxy.output
    assert len(sut.requests) == ATTEMPTS


def test_a_receiver_that_has_not_answered_has_as_long_as_without_the_stop(
    start_with_store: Start, sut: Receiver
) -> None:
    never = threading.Event()
    sut.behave = lambda handler, number: never.wait(LIMIT)  # type: ignore[assignment]
    proxy = start_with_store(mocks=MOCKS.replace("TIMEOUT", "1s").replace("[1s, 1s]", "none"))
    curl("-f", "-x", proxy.url, "-d", json.dumps({}), "http://api.slow.example/jobs")
    sut.wait(1)

    stop(proxy, 1.5, threading.Event())
    proxy.wait_for("no answer within 1 s; given up")
    never.set()
