"""Somebody sets the machine's clock: nothing is late or early, and what Latehook says of real time is real."""

import json
import time
from pathlib import Path

import pytest

from support.limits import PROMPT
from support.machine_clock import MachineClock
from support.process import Proxy
from support.programs import curl
from support.receivers import Receiver
from support.stored_jobs import Start

HOUR, YEAR = 3600, 365 * 86400

MOCKS = """
mocks:
  - match: POST api.slow.example/jobs
    response: {json: {id: "{{ job.id }}"}}
    webhook:
      after: AFTER
      to: "{{ env.CALLBACK_URL }}"
      json: {late: "{{ now - job.created_at }}", now: "{{ now }}", real: "{{ real_now }}"}
      sign: {secret: s, algorithm: none, headers: {x-signed-at: "{timestamp}"}}
"""


@pytest.fixture
def machine_clock(tmp_path: Path) -> MachineClock:
    return MachineClock(tmp_path)


def post(proxy: Proxy) -> float:
    """Start a job. Return when, in seconds of a clock that nobody sets."""
    assert curl("-f", "-x", proxy.url, "-d", "{}", "http://api.slow.example/jobs").returncode == 0
    return time.monotonic()


def test_a_clock_that_is_set_makes_no_webhook_late_or_early(
    start_with_store: Start, sut: Receiver, machine_clock: MachineClock
) -> None:
    proxy = start_with_store("1s", mocks=MOCKS, **machine_clock.env)
    for number, step in enumerate([-YEAR, -HOUR, HOUR, YEAR]):
        posted = post(proxy)
        machine_clock.set(step)

        webhook = sut.wait(number + 1)[number]
        took = time.monotonic() - posted
        said = json.loads(webhook.body)

        assert 0.7 < took < PROMPT
        assert 1 <= said["late"] < PROMPT
        assert said["now"] == pytest.approx(time.time(), abs=PROMPT)
        for real in (said["real"], float(webhook.headers["x-signed-at"])):
            assert real == pytest.approx(time.time() + step, abs=PROMPT)


def test_a_clock_that_is_set_back_across_a_restart_counts_as_no_time(
    start_with_store: Start, sut: Receiver, machine_clock: MachineClock
) -> None:
    proxy = start_with_store("2s", mocks=MOCKS, **machine_clock.env)
    posted = post(proxy)
    proxy.kill()
    machine_clock.set(-HOUR)

    start_with_store("2s", mocks=MOCKS, **machine_clock.env)
    [webhook] = sut.wait(1)

    assert time.monotonic() - posted > 1.5
    assert 2 <= json.loads(webhook.body)["late"] < PROMPT


def test_real_time_counts_across_a_restart(start_with_store: Start, sut: Receiver, machine_clock: MachineClock) -> None:
    proxy = start_with_store("40m", mocks=MOCKS, **machine_clock.env)
    post(proxy)
    proxy.stop()
    machine_clock.set(HOUR)

    start_with_store("40m", mocks=MOCKS, **machine_clock.env)
    [webhook] = sut.wait(1)

    assert HOUR <= json.loads(webhook.body)["late"] < HOUR + 60
