"""A `where` that takes long does not stop the proxy, and finds out no secret."""

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from urllib.parse import quote

import httpx

from support.limits import PROMPT, TIME_SCALE
from support.process import Proxy

MOCKS = """
vars: {verdict: good, key: "{{ env.SHOP_KEY }}", number: "{{ env.SHOP_NUMBER }}"}
mocks: [{match: POST api.slow.example/jobs, job: {}}]
"""
JOBS = 120

COSTLY = [
    "(('f'*16000000)|int(base=16)) % (('e'*8000000)|int(base=16)) == 1",
    "range(100000)|map('string')|join|length",
    "('a '*1000000)|title|wordcount > 1 or ('a'*16000000) in ('a'*16000000)",
    "range(20000)|map('upper')|list|length == 0",
]

OF_EACH_JOB = [f"job.created_at > 0 and ({where})" for where in COSTLY]
"""The same, evaluated for each job: what depends on nothing is evaluated once, and its error is the answer."""

Start = Callable[..., Proxy]


def ask(proxy: Proxy, where: str, path: str = "jobs") -> httpx.Response:
    return httpx.get(f"{proxy.url}/_latehook/{path}?where={quote(where)}", timeout=PROMPT * 10, trust_env=False)


def ask_in_vain(proxy: Proxy, where: str) -> None:
    with suppress(httpx.HTTPError):  # the proxy ends before it answers
        ask(proxy, where)


def with_jobs(start: Start) -> Proxy:
    proxy = start(mocks=MOCKS, env={"SHOP_KEY": "s3cret-of-the-shop", "SHOP_NUMBER": "7"})
    with httpx.Client(proxy=proxy.url, trust_env=False) as client:
        for _ in range(JOBS):
            assert client.post("http://api.slow.example/jobs").status_code == 200
    return proxy


def test_a_costly_filter_of_many_jobs_delays_no_other_request(start: Start) -> None:
    proxy = with_jobs(start)
    answers: list[httpx.Response] = []
    filters = [threading.Thread(target=lambda where=where: answers.append(ask(proxy, where))) for where in OF_EACH_JOB]
    for thread in filters:
        thread.start()
    longest = 0.0
    with httpx.Client(proxy=proxy.url, trust_env=False, timeout=PROMPT) as client:
        while any(thread.is_alive() for thread in filters):
            started = time.monotonic()
            assert client.post("http://api.slow.example/jobs").status_code == 200
            longest = max(longest, time.monotonic() - started)

    assert [answer.status_code for answer in answers] == [200] * len(OF_EACH_JOB)
    assert longest < 3.0 * TIME_SCALE


def test_the_proxy_ends_while_a_costly_filter_is_evaluated(start: Start) -> None:
    proxy = with_jobs(start)
    for where in [*COSTLY, *OF_EACH_JOB]:
        threading.Thread(target=ask_in_vain, args=(proxy, where), daemon=True).start()
    httpx.get(f"{proxy.url}/_latehook/status", timeout=PROMPT, trust_env=False)

    proxy.stop(limit=PROMPT)


def test_a_filter_reads_no_variable_with_a_secret(start: Start) -> None:
    proxy = with_jobs(start)

    for where in ("vars.key == 'a'", "vars['key'] < 'z'", "(vars.key | default('')) [0] == 's'"):
        problem = ask(proxy, where)
        assert problem.status_code == 400
        assert problem.json()["detail"] == "where: a filter cannot read vars.key, because it holds a secret"
    for path in ("jobs", "requests"):
        assert ask(proxy, "'s3cret' in (vars | tojson)", path).json()["items"] == []
        assert ask(proxy, "vars.number == '7' and vars.verdict == 'good'", path).json()["items"]
