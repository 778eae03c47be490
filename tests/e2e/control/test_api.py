"""The control API through a real process: lists, waiting, operations, the clock, variables and mocks."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest

from support.limits import LIMIT
from support.process import Proxy, mitmdump
from support.receivers import Receiver, receiver
from support.waiting import wait_until

MOCKS = """
vars: {{verdict: good}}
mocks:
  - name: orders
    match: POST api.slow.example/orders
    job: {{id: "{{{{ request.json.id }}}}", vars: {{kind: order}}}}
    response: {{status: 201, json: {{id: "{{{{ job.id }}}}"}}}}
    webhook:
      after: 1h
      event: order.done
      to: "{sut}/{{{{ request.json.id }}}}"
      json: {{verdict: "{{{{ vars.verdict }}}}"}}
      retry: none
  - name: letters
    match: POST api.slow.example/letters
    job: {{id: "{{{{ request.json.id }}}}"}}
    webhook: {{after: 2h, event: letter.done, to: "{sut}/{{{{ request.json.id }}}}", text: sent, retry: [10s, 20s]}}
  - match: GET api.slow.example/orders/{{id}}
    lookup: request.path.id
    response: {{json: {{status: "{{{{ job.status }}}}"}}}}
  - {{match: POST api.slow.example/raw, job: {{}}}}
"""


class Control:
    """The API of a process, and what its SUT sends and receives."""

    def __init__(self, proxy: Proxy, sut: Receiver) -> None:
        self.proxy = proxy
        self.sut = sut
        self.http = httpx.Client(base_url=f"{proxy.url}/_latehook/", timeout=LIMIT, trust_env=False)
        self.through = httpx.Client(proxy=proxy.url, timeout=LIMIT, trust_env=False)

    def get(self, path: str, **query: Any) -> Any:
        got = self.http.get(f"{path}?{urlencode(query, doseq=True)}" if query else path)
        assert got.status_code == 200, got.text
        return got.json()

    def post(self, path: str, status: int = 200, **body: Any) -> Any:
        got = self.http.post(path, json=body)
        assert got.status_code == status, got.text
        return got.json()

    def problem(self, status: int, method: str, path: str, **options: Any) -> str:
        """The detail of a refusal."""
        got = self.http.request(method, path, **options)
        assert (got.status_code, got.headers["content-type"]) == (status, "application/problem+json"), got.text
        problem = got.json()
        assert (problem["status"], problem["type"]) == (status, "about:blank")
        return problem["detail"]

    def ids(self, path: str, **query: Any) -> list[str]:
        """The jobs of what a list has."""
        return [item.get("job") or item["id"] for item in self.get(path, **query)["items"]]

    def order(self, id: str, what: str = "orders", **more: Any) -> httpx.Response:
        return self.through.post(f"http://api.slow.example/{what}", json={"id": id, **more})

    def webhook(self, job: str) -> Any:
        [webhook] = self.get("webhooks", job=job)["items"]
        return webhook

    def states(self) -> dict[str, str]:
        return {webhook["job"]: webhook["state"] for webhook in self.get("webhooks")["items"]}


@pytest.fixture(scope="module")
def running(confdir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Control]:
    file = tmp_path_factory.mktemp("control") / "mocks.yaml"
    with receiver() as sut:
        file.write_text(MOCKS.format(sut=sut.url))
        with mitmdump(confdir, "--set", f"mock_file={file}", env={"SHOP": "north"}) as proxy:
            yield Control(proxy, sut)


@pytest.fixture
def control(running: Control) -> Control:
    running.post("reset")
    running.sut.requests.clear()
    return running


# Lists


def test_a_job_is_shown_whole(control: Control) -> None:
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


def test_a_webhook_is_shown_before_and_after_its_attempt(control: Control) -> None:
    control.order("a")
    before = control.webhook("a")
    control.post(f"webhooks/{before['id']}/fire")
    [after] = control.get("wait", job="a")["items"]

    assert (before["state"], before["event"], before["stage"]) == ("pending", "order.done", 0)
    assert (before["body"], before["method"], before["attempts"]) == (None, None, [])
    assert before["due_in"] == pytest.approx(3600, abs=30)
    assert (after["state"], after["method"], after["content_type"]) == ("delivered", "POST", "application/json")
    assert (after["url"], after["body"], after["due_in"]) == (f"{control.sut.url}/a", '{"verdict":"good"}', None)
    [attempt] = after["attempts"]
    assert (attempt["number"], attempt["status"], attempt["error"], attempt["body"]) == (1, 200, None, "ok")
    assert time.time() - 60 < attempt["at"] <= attempt["ended_at"] <= time.time()


@contextmanager
def unanswered(sut: Receiver) -> Iterator[None]:
    """What the receiver gets in this block it answers at its end."""
    let_go = threading.Event()
    answers = sut.behave
    sut.behave = lambda handler, number: (let_go.wait(LIMIT), answers(handler, number))  # type: ignore[func-returns-value]
    try:
        yield
    finally:
        let_go.set()
        sut.behave = answers


def test_an_attempt_under_way_is_shown(control: Control) -> None:
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


def test_a_body_that_is_no_text_is_given_in_base64_too(control: Control) -> None:
    control.through.post("http://api.slow.example/raw", content=b"a \xff")
    request = control.get("jobs")["items"][0]["request"]

    assert (request["body"], request["body_base64"]) == ("a \ufffd", "YSD/")


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
        ({"where": "{{ job.id == 'a' and env.SHOP == 'north' and vars.verdict == 'good' and now > 0 }}"}, ["a"]),
        ({"event": "order.done", "state": "pending", "where": "request.json.size == 1"}, ["a"]),
        ({"event": "letter.done", "state": "pending"}, []),
    ],
)
def test_the_filters_of_lists(control: Control, path: str, query: dict[str, Any], found: list[str]) -> None:
    control.order("a", size=1)
    control.order("b", size=2)
    control.order("c", "letters")
    control.post("hold", mock="letters")

    assert control.ids(path, **query) == found


@pytest.mark.parametrize(("path", "key"), [("jobs", "id"), ("webhooks", "job"), ("requests", "job")])
def test_pages_of_a_list_have_all_of_it_once(control: Control, path: str, key: str) -> None:
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


def test_requests_say_what_each_got_and_why_none_took_it(control: Control) -> None:
    control.order("a")
    control.through.get("http://api.slow.example/orders/a")
    control.through.get("http://api.slow.example/ordres/a")
    control.through.get("http://api.slow.example/orders/none")
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


def test_status_says_what_is_going_on(control: Control) -> None:
    control.order("a")
    control.post("hold")
    status = control.get("status")

    assert (status["ready"], status["holding"], status["vars"]) == (True, True, {"verdict": "good"})
    assert (status["counts"]["jobs"], status["counts"]["webhooks"]["held"]) == (1, 1)
    assert [mock["name"] for mock in status["mocks"]][:2] == ["orders", "letters"]
    assert status["mocks"][0]["match"] == "POST api.slow.example/orders"
    assert status["clock"]["real"] == pytest.approx(time.time(), abs=30)


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
        ("requests?state=held", "there is no parameter 'state'; there are matched, job, mock, where, limit, after"),
        ("requests?matched=perhaps", 'matched "perhaps" does not fit: expected '),
        ("wait?timeout=soon", "timeout: 'soon' is not a duration: write 250ms"),
        ("wait?timeout=11m", "timeout '11m' is too long: at most 10m"),
        ("wait?count=many", 'count "many" does not fit: expected a number'),
        ("vars?x=1", "there is no parameter 'x'; there are none here"),
    ],
)
def test_what_cannot_be_asked_is_said_in_words(control: Control, path: str, words: str) -> None:
    assert control.problem(400, "GET", path).startswith(words)


def test_what_is_not_there_is_said_in_words(control: Control) -> None:
    assert control.problem(404, "GET", "jobs/none") == "there is no job 'none'"
    assert control.problem(404, "GET", "webhooks/none").startswith("there is no webhook 'none'")
    assert control.problem(404, "GET", "job").startswith("there is no GET /_latehook/job: /_latehook/openapi.json")
    assert control.problem(405, "DELETE", "vars").startswith("there is no DELETE /_latehook/vars")
    assert set(control.http.delete("vars").headers["allow"].split(", ")) == {"GET", "HEAD", "PUT"}


# Waiting


def test_a_wait_ends_when_it_has_happened(control: Control) -> None:
    control.order("a")
    waited: list[Any] = []
    thread = threading.Thread(target=lambda: waited.append(control.get("wait", job="a", timeout="10m")))
    thread.start()
    wait_until(lambda: control.get("status")["waiting"] == 1, "somebody waits")
    control.post("clock", advance="1h")
    thread.join(LIMIT)

    [webhook] = waited[0]["items"]
    assert (webhook["state"], webhook["attempts"][0]["status"]) == ("delivered", 200)


def test_a_wait_for_several_gives_them_in_their_order(control: Control) -> None:
    for id in ("a", "b", "c"):
        control.order(id)
    control.post("clock", advance="1h")

    assert [webhook["job"] for webhook in control.get("wait", count=3, event="order.done")["items"]] == ["a", "b", "c"]


def test_a_wait_in_vain_says_what_did_happen(control: Control) -> None:
    def refuse(handler: Any, number: int) -> None:
        handler.send_error(503)

    answers, control.sut.behave = control.sut.behave, refuse
    try:
        control.order("a", size=1)
        control.order("b", size=1)
        control.through.get("http://api.slow.example/ordres")
        control.post(f"webhooks/{control.webhook('a')['id']}/fire")
        control.get("wait", job="a", state="failed")
    finally:
        control.sut.behave = answers
    got = control.http.get("wait", params={"where": "request.json.size == 1", "timeout": "50ms"})
    told = got.json()

    assert got.status_code == 408
    assert [webhook["job"] for webhook in told["webhooks"]] == ["b", "a"]
    assert told["found"] == []
    assert [request["number"] for request in told["requests"]] == [3, 2, 1]
    assert [request["number"] for request in told["unmatched"]] == [3]
    assert told["detail"].startswith("within 50ms 0 of 1 webhooks delivered (where=request.json.size == 1); ")
    assert "of job b is pending, due in 3" in told["detail"]
    assert "of job a is failed, attempt 1: status 503" in told["detail"]
    assert told["detail"].endswith("3 requests came, 1 of them matched no mock")


def test_a_wait_in_vain_tells_what_where_could_not_be_told_for(control: Control) -> None:
    control.order("a")

    detail = control.problem(408, "GET", "wait?timeout=20ms&state=pending&where=request.json.id%2B1")

    assert "; `where` could not be told for some: the expression failed: " in detail


def test_status_waits_for_a_change(control: Control) -> None:
    revision = control.get("status")["revision"]
    same = control.get("status", after=revision, timeout="20ms")
    changed: list[Any] = []
    thread = threading.Thread(target=lambda: changed.append(control.get("status", after=revision, timeout="10m")))
    thread.start()
    wait_until(lambda: control.get("status")["waiting"] == 1, "somebody waits")
    control.order("a")
    thread.join(LIMIT)

    assert same["revision"] == revision
    assert changed[0]["revision"] > revision


# Operations


def test_the_operations_on_one_webhook(control: Control) -> None:
    control.order("a")
    id = control.webhook("a")["id"]

    assert control.post(f"webhooks/{id}/hold")["state"] == "held"
    assert control.webhook("a")["due_in"] is None
    assert control.post(f"webhooks/{id}/release")["state"] == "pending"
    assert control.post(f"webhooks/{id}/cancel")["state"] == "canceled"
    assert control.post(f"webhooks/{id}/fire", 409)["detail"].startswith(f"webhook {id} is canceled: this needs one")
    assert control.post(f"webhooks/{id}/resend")["state"] in ("pending", "delivering", "delivered")
    assert control.get("wait", job="a")["items"][0]["id"] == id
    assert control.post(f"webhooks/{id}/cancel", 409)["detail"].endswith(
        "this needs one that is pending or held or delivering"
    )
    assert [request.path for request in control.sut.requests] == ["/a"]
    assert control.post("webhooks/none/fire", 404)["detail"].startswith("there is no webhook 'none'")


SELECTS_A = [
    {"job": "a"},
    {"mock": "orders"},
    {"event": "order.done"},
    {"where": "job.id == 'a'"},
    {"where": "{{ request.json.id == 'a' }}", "mock": "orders"},
]
BEFORE = {"hold": "pending", "release": "held", "cancel": "pending", "resend": "canceled", "reset": "pending"}
MADE_BY = {"held": "hold", "canceled": "cancel"}


@pytest.mark.parametrize(
    "filters", [*SELECTS_A, {"state": "STATE", "job": "a"}, {"state": ["STATE"], "event": "order.done"}], ids=str
)
@pytest.mark.parametrize("operation", BEFORE)
def test_an_operation_concerns_those_selected(control: Control, operation: str, filters: dict[str, Any]) -> None:
    control.order("a")
    control.order("b", "letters")
    before = BEFORE[operation]
    for job in ("a", "b"):
        if before in MADE_BY:
            control.post(f"webhooks/{control.webhook(job)['id']}/{MADE_BY[before]}")
    webhook = control.webhook("a")["id"]
    told = json.loads(json.dumps(filters).replace("STATE", before))

    concerned = control.post(operation, **told)["items"]

    assert concerned == (["a"] if operation == "reset" else [webhook])
    if operation == "resend":
        control.get("wait", job="a")
    after = {"hold": "held", "release": "pending", "cancel": "canceled", "resend": "delivered"}
    assert control.states() == {"b": before, **({"a": after[operation]} if operation != "reset" else {})}


def test_a_selection_of_another_state_concerns_none(control: Control) -> None:
    control.order("a")

    assert control.post("cancel", state="held")["items"] == []
    assert control.post("resend")["items"] == []
    assert control.states() == {"a": "pending"}


def test_hold_and_release_of_all(control: Control) -> None:
    control.order("a")
    held = control.post("hold")["items"]
    control.order("b")
    left = control.post("clock", advance="3h")["left"]
    states = control.states()
    released = control.post("release")["items"]
    control.get("wait", count=2)

    assert (len(held), left, states) == (1, [], {"a": "held", "b": "held"})
    assert len(released) == 2
    assert sorted(request.path for request in control.sut.requests) == ["/a", "/b"]


def test_resend_of_all_sends_each_again(control: Control) -> None:
    for id in ("a", "b"):
        control.order(id)
    control.post("clock", advance="1h")
    assert len(control.post("resend")["items"]) == 2
    control.sut.wait(4)
    wait_until(lambda: control.get("status")["counts"]["webhooks"]["delivered"] == 2, "both are delivered again")

    assert [len(webhook["attempts"]) for webhook in control.get("webhooks")["items"]] == [2, 2]
    assert sorted(request.path for request in control.sut.requests) == ["/a", "/a", "/b", "/b"]


def test_a_reset_of_some_breaks_off_what_is_under_way(control: Control) -> None:
    with unanswered(control.sut):
        control.order("a")
        control.order("b")
        control.post(f"webhooks/{control.webhook('a')['id']}/fire")
        control.sut.wait(1)
        forgotten = control.post("reset", job="a")["items"]
        control.order("a")
        again = control.webhook("a")
    control.post(f"webhooks/{again['id']}/fire")
    [delivered] = control.get("wait", job="a")["items"]

    assert forgotten == ["a"]
    assert (again["state"], again["attempts"]) == ("pending", [])
    assert [attempt["number"] for attempt in delivered["attempts"]] == [1]
    assert control.states() == {"a": "delivered", "b": "pending"}
    assert "an attempt broke" not in control.proxy.output


def test_a_reset_forgets_all(control: Control) -> None:
    control.order("a")
    control.http.put("vars", json={"verdict": "bad"})
    control.post("clock", speed=60)
    control.post("hold")
    assert control.post("reset")["items"] == ["a"]
    status = control.get("status")

    assert (status["vars"], status["holding"], status["clock"]["speed"]) == ({"verdict": "good"}, False, 1)
    assert (status["counts"]["jobs"], status["counts"]["requests"]) == (0, 0)


# Clock, variables, mocks


def test_the_clock_is_advanced_for_one_job(control: Control) -> None:
    control.order("a")
    control.order("b")
    answer = control.post("clock", advance="1h", job="a")

    assert answer["left"] == []
    assert control.states() == {"a": "delivered", "b": "pending"}
    assert control.post("clock", 404, advance="1h", job="none")["detail"] == "there is no job 'none'"


def test_an_advance_says_what_has_not_happened(control: Control) -> None:
    control.order("a")
    control.post("clock", speed=60)
    assert control.get("status")["clock"]["speed"] == 60
    assert 0 < control.webhook("a")["due_in"] <= 60


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({}, 'write one of {"advance": "65s"} and {"speed": 60}'),
        ({"advance": "1s", "speed": 2}, "write one of"),
        ({"advance": "soon"}, "'soon' is not a duration: write 250ms"),
        ({"advance": -1}, "-1.0 is not a duration"),
        ({"advance": "99999999d"}, "an advance of '99999999d' is too long: at most 36,500d"),
        ({"speed": 0}, "speed 0: write a number more than 0, and at most 1,000,000"),
        ({"speed": 2, "job": "a"}, "the speed is that of all jobs"),
        ({"spede": 2}, "there is no parameter 'spede'; did you mean 'speed'?"),
    ],
)
def test_the_clock_refuses_what_it_cannot_do(control: Control, body: dict[str, Any], words: str) -> None:
    assert control.post("clock", 400, **body)["detail"].startswith(words)


def test_dials_are_set_and_the_others_keep_their_values(control: Control) -> None:
    assert control.http.put("vars", json={"verdict": "bad"}).json() == {"verdict": "bad"}
    control.order("a")
    control.post("clock", advance="1h")

    assert json.loads(control.sut.requests[0].body) == {"verdict": "bad"}
    assert control.get("vars") == {"verdict": "bad"}
    detail = control.problem(400, "PUT", "vars", json={"verdcit": 1})
    assert detail.startswith("there is no variable 'verdcit'; did you mean 'verdict'?")
    assert control.problem(400, "PUT", "vars", json=[1]) == "the body is [1]: send a JSON object"


POSTED = """
vars: {price: 7}
mocks:
  - name: orders
    match: POST api.slow.example/orders
    response: {json: {price: "{{ vars.price }}", verdict: "{{ vars.verdict }}"}}
  - match: GET new.example/
    response: {text: new}
"""


@pytest.mark.parametrize("media_type", ["application/yaml", "text/yaml; charset=utf-8"])
def test_posted_mocks_stand_in_front_until_the_reset(control: Control, media_type: str) -> None:
    got = control.http.post("mocks", content=POSTED, headers={"content-type": media_type})
    new = control.through.get("http://new.example/").text
    posted = control.order("a").json()
    newest = {"mocks": [{"match": "POST api.slow.example/orders", "response": {"json": {"price": 8}}}]}
    control.http.post("mocks", json=newest)
    in_front = control.order("a").json()
    control.post("reset")

    assert [mock["name"] for mock in got.json()["items"]] == ["orders", "GET new.example/"]
    assert got.json()["items"][0]["place"] == "posted mocks:4"
    assert (new, posted, in_front) == ("new", {"price": 7, "verdict": "good"}, {"price": 8})
    assert control.order("b").json() == {"id": "b"}
    assert control.get("vars") == {"verdict": "good"}
    assert control.through.get("http://new.example/").status_code == 501  # a host once mocked stays closed


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "mocks:\n  - mtach: GET new.example/\n",
            "posted mocks:2: mocks[0].mtach: the key 'mtach' is not known; did you mean 'match'?",
        ),
        (
            "mocks:\n  - {match: GET new.example/, when: vars.verdit}\n",
            "posted mocks:2: mocks[0].when: vars has no 'verdit'; did you mean 'verdict'?",
        ),
        ("[", "posted mocks:1: this is not YAML"),
        ("", "posted mocks:1: a mocks file is a map with the key `mocks`"),
    ],
)
def test_posted_mocks_that_cannot_be_used_are_refused_in_words(control: Control, text: str, words: str) -> None:
    detail = control.problem(400, "POST", "mocks", content=text, headers={"content-type": "application/yaml"})

    assert detail.startswith(words)
    assert len(control.get("status")["mocks"]) == 4


def test_posted_mocks_may_be_those_of_a_file(control: Control, tmp_path: Path) -> None:
    (tmp_path / "answer.txt").write_text("beside")
    file, yaml = str(tmp_path / "more.yaml"), {"content-type": "application/yaml"}
    mock = "mocks: [{match: GET beside.example/, response: {file: answer.txt}}]"
    got = control.http.post("mocks", params={"file": file}, content=mock, headers=yaml)
    wrong = control.problem(400, "POST", "mocks", params={"file": file}, content="mocks: 1", headers=yaml)

    assert got.json()["items"][0]["place"] == f"{file}:1"
    assert control.through.get("http://beside.example/").text == "beside"
    assert wrong.startswith(f"{file}:1: mocks: 1 does not fit here")


@pytest.mark.parametrize("operation", ["hold", "release", "cancel", "resend", "reset"])
def test_filters_in_the_query_of_an_operation_do_not_mean_all(control: Control, operation: str) -> None:
    control.order("a")
    detail = control.problem(400, "POST", f"{operation}?job=a", json={})

    assert detail == "a POST takes nothing from the query 'job=a': send it as JSON"
    assert control.states() == {"a": "pending"}


# Files


def test_the_authorities_can_be_fetched(control: Control) -> None:
    own, bundle = control.http.get("ca.pem"), control.http.get("ca-bundle.pem")

    assert own.text.strip() in Path(control.proxy.ca).read_text()
    assert own.text.strip() in bundle.text
    assert bundle.text.count("BEGIN CERTIFICATE") > 10


def test_starting_does_not_wait_for_the_api(start: Callable[..., Proxy]) -> None:
    proxy = start(env={"CALLBACK_URL": "http://app.test/", "PYTHONPROFILEIMPORTTIME": "1"})
    before = "starlette" in proxy.output
    status = httpx.get(f"{proxy.url}/_latehook/status", trust_env=False).status_code
    proxy.wait_for("starlette.applications")

    assert (before, status) == (False, 200)
