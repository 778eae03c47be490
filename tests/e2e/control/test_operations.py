"""Operations of the control API: hold, release, fire, cancel, resend, reset."""

import json
from typing import Any

import pytest

from support.control_api import ControlApi, unanswered
from support.waiting import wait_until


def test_each_operation_on_one_webhook(control: ControlApi) -> None:
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


SELECT_JOB_A = [
    {"job": "a"},
    {"mock": "orders"},
    {"event": "order.done"},
    {"where": "job.id == 'a'"},
    {"where": "{{ request.json.id == 'a' }}", "mock": "orders"},
]
BEFORE = {"hold": "pending", "release": "held", "cancel": "pending", "resend": "canceled", "reset": "pending"}
OPERATION_TO = {"held": "hold", "canceled": "cancel"}


@pytest.mark.parametrize(
    "filters", [*SELECT_JOB_A, {"state": "STATE", "job": "a"}, {"state": ["STATE"], "event": "order.done"}], ids=str
)
@pytest.mark.parametrize("operation", BEFORE)
def test_an_operation_applies_to_the_selected_webhooks(
    control: ControlApi, operation: str, filters: dict[str, Any]
) -> None:
    control.order("a")
    control.order("b", "letters")
    before = BEFORE[operation]
    for job in ("a", "b"):
        if before in OPERATION_TO:
            control.post(f"webhooks/{control.webhook(job)['id']}/{OPERATION_TO[before]}")
    webhook = control.webhook("a")["id"]
    selection = json.loads(json.dumps(filters).replace("STATE", before))

    items = control.post(operation, **selection)["items"]

    assert items == (["a"] if operation == "reset" else [webhook])
    if operation == "resend":
        control.get("wait", job="a")
    after = {"hold": "held", "release": "pending", "cancel": "canceled", "resend": "delivered"}
    assert control.states() == {"b": before, **({"a": after[operation]} if operation != "reset" else {})}


def test_an_operation_on_another_state_applies_to_nothing(control: ControlApi) -> None:
    control.order("a")

    assert control.post("cancel", state="held")["items"] == []
    assert control.post("resend")["items"] == []
    assert control.states() == {"a": "pending"}


def test_hold_and_release_without_a_filter(control: ControlApi) -> None:
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


def test_resend_without_a_filter_sends_each_webhook_again(control: ControlApi) -> None:
    for id in ("a", "b"):
        control.order(id)
    control.post("clock", advance="1h")
    assert len(control.post("resend")["items"]) == 2
    control.sut.wait(4)
    wait_until(lambda: control.get("status")["counts"]["webhooks"]["delivered"] == 2, "both are delivered again")

    assert [len(webhook["attempts"]) for webhook in control.get("webhooks")["items"]] == [2, 2]
    assert sorted(request.path for request in control.sut.requests) == ["/a", "/a", "/b", "/b"]


def test_a_reset_of_one_job_ends_its_running_attempt(control: ControlApi) -> None:
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


def test_a_reset_without_a_filter_resets_everything(control: ControlApi) -> None:
    control.order("a")
    control.http.put("vars", json={"verdict": "bad"})
    control.post("clock", speed=60)
    control.post("hold")
    assert control.post("reset")["items"] == ["a"]
    status = control.get("status")

    assert (status["vars"], status["holding"], status["clock"]["speed"]) == ({"verdict": "good"}, False, 1)
    assert (status["counts"]["jobs"], status["counts"]["requests"]) == (0, 0)
