"""Waiting with the control API: for webhooks, and for a change of the status."""

import threading
from typing import Any

from support.control_api import ControlApi
from support.limits import LIMIT
from support.waiting import wait_until


def test_a_wait_ends_when_the_webhook_is_delivered(control: ControlApi) -> None:
    control.order("a")
    waited: list[Any] = []
    thread = threading.Thread(target=lambda: waited.append(control.get("wait", job="a", timeout="10m")))
    thread.start()
    wait_until(lambda: control.get("status")["waiting"] == 1, "one client waits")
    control.post("clock", advance="1h")
    thread.join(LIMIT)

    [webhook] = waited[0]["items"]
    assert (webhook["state"], webhook["attempts"][0]["status"]) == ("delivered", 200)


def test_a_wait_for_several_webhooks_returns_them_in_the_order_of_their_delivery(control: ControlApi) -> None:
    for id in ("a", "b", "c"):
        control.order(id)
    control.post("clock", advance="1h")

    assert [webhook["job"] for webhook in control.get("wait", count=3, event="order.done")["items"]] == ["a", "b", "c"]


def test_a_wait_that_times_out_reports_what_happened(control: ControlApi) -> None:
    def refuse(handler: Any, number: int) -> None:
        handler.send_error(503)

    answers, control.sut.behave = control.sut.behave, refuse
    try:
        control.order("a", size=1)
        control.order("b", size=1)
        control.client.get("http://api.slow.example/ordres")
        control.post(f"webhooks/{control.webhook('a')['id']}/fire")
        control.get("wait", job="a", state="failed")
    finally:
        control.sut.behave = answers
    got = control.http.get("wait", params={"where": "request.json.size == 1", "timeout": "50ms"})
    problem = got.json()

    assert got.status_code == 408
    assert [webhook["job"] for webhook in problem["webhooks"]] == ["b", "a"]
    assert problem["found"] == []
    assert [request["number"] for request in problem["requests"]] == [3, 2, 1]
    assert [request["number"] for request in problem["unmatched"]] == [3]
    assert problem["detail"].startswith("within 50ms 0 of 1 webhook delivered (where=request.json.size == 1); ")
    assert "of job b is pending, due in 3" in problem["detail"]
    assert "of job a is failed, attempt 1: status 503" in problem["detail"]
    assert problem["detail"].endswith("3 requests came, 1 of them matched no mock")


def test_a_wait_that_times_out_reports_where_the_filter_failed(control: ControlApi) -> None:
    control.order("a")

    detail = control.problem(408, "GET", "wait?timeout=20ms&state=pending&where=request.json.id%2B1")

    assert "; `where` failed for some: the expression failed: " in detail


def test_status_waits_for_a_change(control: ControlApi) -> None:
    revision = control.get("status")["revision"]
    same = control.get("status", after=revision, timeout="20ms")
    changed: list[Any] = []
    thread = threading.Thread(target=lambda: changed.append(control.get("status", after=revision, timeout="10m")))
    thread.start()
    wait_until(lambda: control.get("status")["waiting"] == 1, "one client waits")
    control.order("a")
    thread.join(LIMIT)

    assert same["revision"] == revision
    assert changed[0]["revision"] > revision
