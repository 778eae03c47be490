"""Lists of the control API: jobs, webhooks, requests, their filters and pages, and the status."""

import json
import time
from typing import Any

import pytest

from support.control_api import ControlApi, unanswered
from support.limits import LIMIT
from support.receivers import answer


def test_a_job_has_its_request_response_stages_and_webhooks(control: ControlApi) -> None:
    control.order("a", note="\u00e4")
    job = control.get("jobs/a")

    assert (job["id"], job["mock"], job["status"], job["vars"]) == ("a", "orders", "pending", {"kind": "order"})
    assert (job["request"]["method"], job["request"]["url"]) == ("POST", "http://api.slow.example/orders")
    assert json.loads(job["request"]["body"]) == {"id": "a", "note": "\u00e4"}
    assert job["request"]["size"] == len(job["request"]["body"].encode())
    assert (job["response"]["status"], job["response"]["body"]) == (201, '{"id":"a"}')
    assert [(stage["status"], stage["reached"]) for stage in job["stages"]] == [("completed", False)]
    assert job["stages"][0]["due_at"] == pytest.approx(job["created_at"] + 3600, abs=1)
    assert job["ended"] is False
    [webhook] = job["webhooks"]
    assert webhook | {"due_in": None} == control.webhook("a") | {"due_in": None}


def test_a_webhook_before_and_after_its_attempt(control: ControlApi) -> None:
    began = time.time()
    control.order("a")
    before = control.webhook("a")
    control.post(f"webhooks/{before['id']}/fire")
    [after] = control.get("wait", job="a")["items"]

    assert (before["state"], before["event"], before["stage"]) == ("pending", "order.done", 0)
    assert (before["body"], before["method"], before["attempts"]) == (None, None, [])
    assert before["due_in"] == pytest.approx(3600, abs=LIMIT)
    assert (after["state"], after["method"], after["content_type"]) == ("delivered", "POST", "application/json")
    assert (after["url"], after["body"], after["due_in"]) == (f"{control.sut.url}/a", '{"verdict":"good"}', None)
    [attempt] = after["attempts"]
    assert (attempt["number"], attempt["status"], attempt["error"], attempt["body"]) == (1, 200, None, "ok")
    assert began < attempt["at"] <= attempt["ended_at"] <= time.time()


def test_a_webhook_during_its_attempt(control: ControlApi) -> None:
    with unanswered(control.sut):
        control.order("a")
        fired = control.post(f"webhooks/{control.webhook('a')['id']}/fire")
        control.sut.wait(1)
        webhook = control.webhook("a")
        counted = control.get("status")["counts"]["webhooks"]
        listed = [control.ids("webhooks", state=state) for state in ("delivering", "pending")]
    control.get("wait", job="a")

    assert fired["state"] in ("pending", "delivering")
    assert (webhook["state"], counted["delivering"], counted["pending"]) == ("delivering", 1, 0)
    assert [(attempt["number"], attempt["ended_at"]) for attempt in webhook["attempts"]] == [(1, None)]
    assert listed == [["a"], []]


def test_a_body_that_is_not_text_is_also_given_in_base64(control: ControlApi) -> None:
    control.client.post("http://api.slow.example/raw", content=b"a \xff")
    request = control.get("jobs")["items"][0]["request"]

    assert (request["body"], request["body_base64"]) == ("a \ufffd", "YSD/")


def test_lists_have_the_beginning_of_a_long_body_and_the_id_has_all_of_it(control: ControlApi) -> None:
    control.sut.behave = answer(200, b"a" * 50_000)
    for _ in range(2):  # two jobs with one id
        control.order("long/id", "echo", note="\u00e4" * 200_000)
    control.post("clock", advance="1h")
    found = [*control.get("wait", count=2)["items"], *control.get("webhooks")["items"]]
    jobs = control.get("jobs")["items"]

    assert [job["id"] for job in jobs] == ["long/id", "long/id"]
    for job in jobs:
        whole = control.get("jobs/long%2Fid", number=job["number"])
        assert whole["number"] == job["number"]
        assert_is_beginning(job["request"], whole["request"])
        assert_is_beginning(job["response"], whole["response"])
        assert_is_beginning(job["webhooks"][0], whole["webhooks"][0])
    for webhook in [*found, *(job["webhooks"][0] for job in jobs)]:
        whole = control.get(f"webhooks/{webhook['id']}")
        assert_is_beginning(webhook, whole)
        assert_is_beginning(webhook["attempts"][0], whole["attempts"][0])
    assert control.get("jobs/long%2Fid")["number"] == jobs[0]["number"]
    missing = "there is no job 'long/id' with the number 99999"
    assert control.problem(404, "GET", "jobs/long%2Fid?number=99999") == missing
    assert control.problem(404, "GET", f"jobs/x?number={jobs[0]['number']}").startswith("there is no job 'x'")


def assert_is_beginning(listed: dict[str, Any], whole: dict[str, Any]) -> None:
    """Check that a message of a list has the first 4 KiB of the whole body, and its size."""
    assert (listed["truncated"], "truncated" in whole) == (True, False)
    assert listed["size"] == whole["size"] == len(whole["body"].encode())
    assert whole["body"].startswith(listed["body"])
    assert 4090 <= len(listed["body"].encode()) <= 4096


def test_a_small_body_is_whole_in_lists(control: ControlApi) -> None:
    control.order("a")
    control.post(f"webhooks/{control.webhook('a')['id']}/fire")
    [webhook] = control.get("wait", job="a")["items"]
    [job] = control.get("jobs")["items"]

    assert (webhook["size"], webhook["body"]) == (18, '{"verdict":"good"}')
    assert (webhook["attempts"][0]["size"], webhook["attempts"][0]["body"]) == (2, "ok")
    assert (job["response"]["size"], job["response"]["body"]) == (10, '{"id":"a"}')
    assert "truncated" not in json.dumps([webhook, job])
    assert control.get(f"webhooks/{webhook['id']}") == webhook
    assert control.get("jobs/a") == job


@pytest.mark.parametrize("path", ["jobs", "webhooks"])
@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"job": "b"}, ["b"]),
        ({"mock": "letters"}, ["c"]),
        ({"event": "order.done"}, ["b", "a"]),
        ({"state": "held"}, ["c"]),
        ({"state": "pending,held"}, ["c", "b", "a"]),
        ({"state": ["canceled", "held"]}, ["c"]),
        ({"where": "request.json.size > 1"}, ["b"]),
        ({"where": "{{ job.id == 'a' and vars.verdict == 'good' and now > 0 }}"}, ["a"]),
        ({"event": "order.done", "state": "pending", "where": "request.json.size == 1"}, ["a"]),
        ({"event": "letter.done", "state": "pending"}, []),
    ],
)
def test_the_filters_of_lists(control: ControlApi, path: str, query: dict[str, Any], found: list[str]) -> None:
    control.order("a", size=1)
    control.order("b", size=2)
    control.order("c", "letters")
    control.post("hold", mock="letters")

    assert control.ids(path, **query) == found


@pytest.mark.parametrize(("path", "key"), [("jobs", "id"), ("webhooks", "job"), ("requests", "job")])
def test_the_pages_of_a_list_have_each_item_once(control: ControlApi, path: str, key: str) -> None:
    for number in range(250):
        control.order(f"job/{number}")
    found: list[str] = []
    query: dict[str, Any] = {"limit": 60}
    while True:
        page = control.get(path, **query)
        found += [item[key] for item in page["items"]]
        if page["next"] is None:
            break
        query["after"] = page["next"]

    assert found == [f"job/{number}" for number in reversed(range(250))]
    assert control.get(path, limit=1, where="request.json.id == 'job/7'")["items"][0][key] == "job/7"
    assert control.get("jobs/job%2F7")["id"] == "job/7"


def test_requests_have_their_status_and_why_no_mock_matched(control: ControlApi) -> None:
    control.order("a")
    control.client.get("http://api.slow.example/orders/a")
    control.client.get("http://api.slow.example/ordres/a")
    control.client.get("http://api.slow.example/orders/none")
    requests = control.get("requests")["items"][::-1]

    assert [(each["number"], each["method"], each["status"], each["mock"], each["job"]) for each in requests] == [
        (1, "POST", 201, "orders", "a"),
        (2, "GET", 200, "GET api.slow.example/orders/{id}", "a"),
        (3, "GET", 501, None, None),
        (4, "GET", 404, None, None),
    ]
    assert [each["matched"] for each in requests] == [True, True, False, False]
    assert requests[2]["why"][0]["mock"] == "GET api.slow.example/orders/{id}"
    assert requests[2]["why"][0]["differs"].startswith("path ")
    assert requests[2]["why"][0]["place"].endswith("mocks.yaml:18")
    assert requests[3]["why"][0]["differs"] == "there is no job 'none'"
    assert [each["number"] for each in control.get("requests", matched="false")["items"]] == [4, 3]
    assert [each["number"] for each in control.get("requests", job="a", matched="true")["items"]] == [2, 1]
    assert [each["number"] for each in control.get("requests", mock="orders")["items"]] == [1]
    assert [each["number"] for each in control.get("requests", where="request.path.endswith('none')")["items"]] == []
    assert control.get("status")["counts"]["requests"] == 4
    assert control.get("status")["counts"]["unmatched"] == 2


def test_the_status(control: ControlApi) -> None:
    control.order("a")
    control.post("hold")
    status = control.get("status")

    assert (status["ready"], status["holding"], status["vars"]) == (True, True, {"verdict": "good"})
    assert (status["counts"]["jobs"], status["counts"]["webhooks"]["held"]) == (1, 1)
    assert [mock["name"] for mock in status["mocks"]][:2] == ["orders", "letters"]
    assert status["mocks"][0]["match"] == "POST api.slow.example/orders"
    assert status["clock"]["real"] == pytest.approx(time.time(), abs=LIMIT)


NO_ENV = "where: there is no 'env' here: a filter cannot read environment variables, because they can hold secrets"


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("jobs?stat=1", "there is no parameter 'stat'; did you mean 'state'?"),
        ("jobs?limit=0", 'limit "0" does not fit: expected a number >= 1'),
        ("jobs?limit=1001", 'limit "1001" does not fit: expected a number <= 1000'),
        ("jobs?job=a&job=b", "job stands twice in the query: 'a' and 'b'"),
        ("webhooks?after=x", "after 'x' is no `next` of a list"),
        (
            "webhooks?state=delivred",
            "state 'delivred' is not one of pending, held, delivering, delivered, failed, canceled, skipped; did you mean 'delivered'?",
        ),
        ("webhooks?where=requst.json", "where: there is no 'requst' here; did you mean 'request'?"),
        ("webhooks?where=request.jsn", "where: request has no 'jsn'; did you mean 'json'?"),
        ("webhooks?where=(", "where: "),
        ("jobs?where=webhook.id", "where: there is no 'webhook' here"),
        ("requests?where=job.id", "where: there is no 'job' here"),
        ("jobs?where=env.SHOP%3D%3D'north'", NO_ENV),
        ("requests?where=(env|tojson)[0]%3D%3D'a'", NO_ENV),
        ("wait?where=env.SHOP", NO_ENV),
        (f"jobs?where={'1' * 4001}", "where: it has 4,001 characters; it may have 4,000"),
        (
            "requests?state=held",
            "there is no parameter 'state'; there are matched, valid, job, mock, where, limit, after",
        ),
        ("requests?matched=perhaps", 'matched "perhaps" does not fit: expected '),
        ("wait?timeout=soon", "timeout: 'soon' is not a duration: write 250ms"),
        ("wait?timeout=11m", "timeout '11m' is too long: at most 10m"),
        ("wait?count=many", 'count "many" does not fit: expected a number'),
        ("vars?x=1", "there is no parameter 'x'; there are none here"),
    ],
)
def test_an_invalid_query_gets_an_explanation(control: ControlApi, path: str, words: str) -> None:
    assert control.problem(400, "GET", path).startswith(words)


def test_something_that_does_not_exist_gets_an_explanation(control: ControlApi) -> None:
    assert control.problem(404, "GET", "jobs/none") == "there is no job 'none'"
    assert control.problem(404, "GET", "webhooks/none").startswith("there is no webhook 'none'")
    assert control.problem(404, "GET", "job").startswith("there is no GET /_latehook/job: /_latehook/openapi.json")
    assert control.problem(405, "DELETE", "vars").startswith("there is no DELETE /_latehook/vars")
    assert set(control.http.delete("vars").headers["allow"].split(", ")) == {"GET", "HEAD", "PUT"}
