"""The page, of a real process in a real Chromium: what a person sees and does there."""

import json
import re
from base64 import b64encode
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from support.browser import NEEDS_CHROMIUM, Site, detail, opened, row, shown
from support.programs import latehook
from support.receivers import answer

pytestmark = NEEDS_CHROMIUM

# What the page shows


def test_a_job_appears_and_its_webhook_is_shown_as_delivered(page: Page, site: Site) -> None:
    expect(page.get_by_text("No job yet.")).to_be_visible()
    site.order("a-1")
    expect(row(page, "a-1")).to_contain_text(re.compile(r"in (59:\d\d|1:00:00)"))

    page.get_by_label("Duration").fill("1h")
    page.get_by_role("button", name="Advance", exact=True).click()

    expect(row(page, "a-1")).to_contain_text("delivered · 200")
    expect(page.locator(".bar .note")).to_have_text("advanced by 1h")
    expect(page.locator("#said")).to_have_text("advanced by 1h")
    assert json.loads(site.sut.requests[0].body) == {"verdict": "good"}


def test_the_countdown_runs_and_a_stage_is_reached_without_new_data(page: Page, site: Site) -> None:
    site.order("a-1")
    site.post("clock", advance="57s")
    expect(row(page, "a-1")).to_contain_text("pending")
    requested: list[str] = []
    page.on("request", lambda request: requested.append(request.url))
    before = row(page, "a-1").locator("[data-part=next]").inner_text()

    expect(row(page, "a-1").locator("[data-part=next]")).not_to_have_text(before)
    expect(row(page, "a-1")).to_contain_text("processing")
    assert len(requested) < 10  # the countdown itself sends no request


def test_of_very_many_webhooks_those_around_the_next_one_are_shown(page: Page, site: Site) -> None:
    text = f"""
mocks:
  - match: POST api.slow.example/many
    job: {{id: many}}
    webhook: {{to: "{site.sut.url}/many"}}
    stages: [{{after: 10s, status: part, webhook: true, repeat: {{every: 10s, times: 300}}}}, {{status: done, webhook: true}}]
"""
    site.http.post("mocks", content=text, headers={"content-type": "application/yaml"}).raise_for_status()
    site.order("many", "many")
    pane = detail(page, "many")
    cards = pane.locator(".card")

    expect(cards).to_have_count(100)
    expect(cards.first).to_contain_text("part [0]")
    expect(pane).to_contain_text("1 to 100 of 301. The API has all.")
    expect(pane).to_contain_text("+20 s to +50:00299 stages without a status, the last in 49:")
    assert row(page, "many").locator(".line i").count() < 210
    site.post("clock", advance="9m5s")
    expect(cards.nth(50)).to_contain_text("part [54]")
    expect(pane).to_contain_text("5 to 104 of 301.")
    expect(row(page, "many")).to_contain_text("+246")
    site.post("cancel")
    expect(row(page, "many")).to_contain_text("canceled")
    expect(pane).to_contain_text("202 to 301 of 301.")
    expect(cards.last).to_contain_text("done")


def test_the_timeline_of_a_job_has_a_mark_for_each_event(page: Page, site: Site) -> None:
    site.sut.behave = answer(503)
    site.order("a-1", "letters")
    site.post("clock", advance="2h")
    line = row(page, "a-1").get_by_role("button").locator(".line")

    expect(line.locator("i.failed")).to_have_count(1)
    expect(line.locator("i.pending")).to_have_count(1)
    site.sut.behave = answer()
    site.post("clock", advance="10s")
    expect(line.locator("i.delivered")).to_have_count(1)
    marks = line.locator("i").evaluate_all("marks => marks.map(mark => [mark.className, mark.title])")
    assert [(kind, re.sub(r" \+.*", "", title)) for kind, title in marks] == [
        ("request", "request"),
        ("stage reached", "completed"),
        ("failed", "letter.done, attempt 1: 503"),
        ("delivered", "letter.done, attempt 2: 200"),
    ]


@pytest.mark.parametrize("of_one_job", [False, True])
def test_a_timeline_is_by_the_clock_of_the_job(page: Page, site: Site, of_one_job: bool) -> None:
    site.order("a-1")
    site.post("clock", advance="90m", **({"job": "a-1"} if of_one_job else {}))
    line = row(page, "a-1").locator(".line")

    expect(line.locator("i.delivered")).to_have_count(1)
    marks = line.locator("i").evaluate_all("marks => marks.map(mark => mark.title)")

    assert marks == [
        "request +0 ms",
        "processing +1:00",
        "completed +1:00:00",
        "order.done, attempt 1: 200 +1:00:00",
    ]
    expect(detail(page, "a-1").locator(".card")).to_contain_text(", real time, took")


def test_the_details_have_each_request_and_response(page: Page, site: Site) -> None:
    site.sut.behave = answer(503, b"try later")
    site.order("a-1", note="to be read")
    site.post("clock", advance="1h")
    pane = detail(page, "a-1")
    card = pane.locator(".card")

    expect(card).to_contain_text("failed · 503")
    expect(card).to_contain_text(f"POST {site.sut.url}/a-1")
    for summary in pane.locator("summary").all():
        summary.click()
    expect(card.locator("pre")).to_have_text(['{"verdict":"good"}', "try later"])
    expect(pane.locator("section", has_text="Request")).to_contain_text('"note":"to be read"')
    expect(pane.locator("section", has_text="Request")).to_contain_text("application/json")
    expect(pane.locator("section", has_text="Response")).to_contain_text("Status 201")
    expect(pane.locator("section", has_text="Vars of the job")).to_contain_text('"order"')


def test_an_attempt_shows_its_redirects(page: Page, site: Site) -> None:
    site.sut.behave = lambda handler, number: answer(200 if number else 307, b"", location="/new")(handler, number)
    site.order("a-1", "letters")
    site.post("clock", advance="2h")

    expect(detail(page, "a-1").locator(".attempts")).to_contain_text(f"307 → {site.sut.url}/new")


def test_an_unmatched_request_shows_why_no_mock_matched(page: Page, site: Site) -> None:
    site.order("a-1")
    site.client.put("http://api.slow.example/letters")
    expect(page.get_by_role("button", name="Unmatched 1")).to_be_visible()
    page.get_by_role("button", name="Unmatched").click()

    request = page.locator("#list > li")
    expect(request).to_have_count(1)
    expect(request).to_contain_text("PUT http://api.slow.example/letters")
    expect(request).to_contain_text("501")
    expect(request.locator(".why li").first).to_contain_text("method is PUT, not POST letters")
    expect(request.locator(".why li").first).to_contain_text("mocks.yaml:12")
    page.keyboard.press("2")
    expect(page.locator("#list > li")).to_have_count(2)
    page.locator("#list > li", has_text="orders").get_by_role("button").first.click()
    expect(page.get_by_role("heading", name="a-1")).to_be_hidden()  # an unmatched request has no job


def test_an_unmatched_request_leads_to_a_mock_that_takes_it(chromium: Browser, site: Site, tmp_path: Path) -> None:
    urls = ["http://api.slow.example/faxes/17", "http://api.slow.example/faxes:send"]
    for url in urls:
        assert site.client.post(url, json={"callback_url": site.sut.url}).status_code == 501
    with opened(chromium, site.url, permissions=["clipboard-read", "clipboard-write"]) as page:
        page.get_by_role("button", name="Unmatched").click()
        copied, used = (page.locator("#list > li", has_text=url) for url in urls)
        for request in (copied, used):
            request.get_by_text("A mock that would take it").click()
        copied.get_by_role("button", name="Copy").click()
        expect(copied.locator(".note")).to_have_text("copied: put it into your mocks file")
        file = tmp_path / "mocks.yaml"
        file.write_text(page.evaluate("navigator.clipboard.readText()"))
        used.get_by_role("button", name="Use it until the next reset").click()
        expect(used.locator(".note")).to_have_text("such requests are answered from now on")

    checked = latehook("check", file)
    assert (checked.returncode, checked.stderr) == (0, "")
    site.http.post("mocks", content=file.read_bytes(), headers={"content-type": "application/yaml"}).raise_for_status()
    for url in urls:
        assert site.client.post(url, json={"callback_url": site.sut.url}).json()["status"] == "accepted"
    site.post("clock", advance="5s")
    assert len(site.sut.wait(2)) == 2


def test_a_request_that_does_not_fit_its_document_says_in_what(page: Page, site: Site) -> None:
    body = {"content": {"application/json": {"schema": {"required": ["amount", "order"]}}}}
    operation = {"requestBody": body, "responses": {"200": {"description": "ok"}}}
    document = {"openapi": "3.1.0", "info": {}, "paths": {"/payments": {"post": operation}}}
    mocks = "{openapi: api.json, mocks: [{match: POST api.slow.example/payments, validate: warn}]}"
    site.http.post(
        "mocks",
        content=json.dumps({"mocks": mocks, "files": {"api.json": b64encode(json.dumps(document).encode()).decode()}}),
        headers={"content-type": "application/vnd.latehook.mocks+json"},
    ).raise_for_status()
    site.order("a-1", "payments")
    page.keyboard.press("2")

    misfits = page.locator("#list > li").locator(".why li")
    expect(misfits).to_have_count(2)
    expect(misfits.first).to_contain_text("amount")
    expect(misfits.last).to_contain_text("does not fit the OpenAPI document (validate)")


def test_the_filter_selects_what_is_listed(page: Page, site: Site) -> None:
    site.order("a-1", size=1)
    site.order("a-2", size=2)
    site.order("b-1", "letters")
    site.post("hold", job="a-2")
    expect(page.locator("#list > li")).to_have_count(3)
    for name, value, left in [
        ("job", "a-1", ["a-1"]),
        ("mock", "letters", ["b-1"]),
        ("event", "order.done", ["a-2", "a-1"]),
        ("where", "request.json.size == 2", ["a-2"]),
    ]:
        page.get_by_label(name, exact=True).fill(value)
        expect(page.locator("#list [data-part=id]")).to_have_text(left)
        page.get_by_label(name, exact=True).fill("")
    page.get_by_role("combobox", name="state", exact=True).select_option("held")
    expect(page.locator("#list > li")).to_have_count(1)
    page.reload()  # the URL has the filter
    expect(page.locator("#list > li")).to_have_count(1)
    expect(row(page, "a-2")).to_contain_text("held")

    page.get_by_label("where", exact=True).fill("requst.json")
    expect(page.locator("#filter .note")).to_have_text("where: there is no 'requst' here; did you mean 'request'?")
    page.get_by_label("where", exact=True).fill("")
    expect(page.locator("#filter .note")).to_have_text("")


# What the page does


def test_the_buttons_of_a_webhook(page: Page, site: Site) -> None:
    site.order("a-1")
    card = detail(page, "a-1").locator(".card")

    card.get_by_role("button", name="Hold").click()
    expect(card.locator(".first")).to_contain_text("held")
    card.get_by_role("button", name="Release").click()
    expect(card.locator(".first")).to_contain_text("in ")
    card.get_by_role("button", name="Cancel").click()
    expect(card.locator(".first")).to_contain_text("canceled")
    card.get_by_role("button", name="Resend").click()
    expect(card.locator(".first")).to_contain_text("delivered · 200")
    card.get_by_role("button", name="Fire").click(
        force=True
    )  # it looks disabled, and shows the reason when it is pressed
    expect(card.locator(".note")).to_contain_text("is delivered: this needs one that is")
    expect(page.locator("#said")).to_contain_text("is delivered: this needs one that is")
    assert len(site.sut.requests) == 1


def test_the_keys(page: Page, site: Site) -> None:
    for job in ("a-1", "a-2", "a-3"):
        site.order(job)
    expect(page.locator("#list > li")).to_have_count(3)

    def press(*keys: str) -> None:
        for key in keys:
            page.keyboard.press(key)

    press("j", "j", "f")
    expect(row(page, "a-2")).to_contain_text("delivered · 200")
    press("ArrowDown", "h")
    expect(row(page, "a-1")).to_contain_text("held")
    press("h")
    expect(row(page, "a-1")).to_contain_text("in ")
    press("c")
    expect(row(page, "a-1")).to_contain_text("canceled")
    press("k", "r")
    expect(page.locator("#said")).to_have_text("order.done sent again")
    press("k", "Enter")
    expect(page.get_by_role("heading", name="a-3")).to_be_visible()
    press("j")
    expect(page.get_by_role("heading", name="a-2")).to_be_visible()
    press("Escape")
    expect(page.locator("#detail")).to_be_hidden()
    press("/", "c", "r")  # in a field they are letters
    expect(page.get_by_label("job", exact=True)).to_have_value("cr")
    press("Escape", "?")
    expect(page.get_by_role("dialog", name="Keys")).to_be_visible()
    press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()
    press("3")
    expect(page.get_by_role("button", name="Unmatched")).to_have_attribute("aria-pressed", "true")
    assert [request.path for request in site.sut.requests] == ["/a-2", "/a-2"]
    assert [site.state(job) for job in ("a-1", "a-2", "a-3")] == ["canceled", "delivered", "pending"]


def test_the_operations_on_everything_that_the_filter_selects(page: Page, site: Site) -> None:
    site.order("a-1")
    site.order("b-1", "letters")
    said = page.locator(".views .note")
    expect(page.locator("#list > li")).to_have_count(2)
    page.get_by_role("button", name="Hold", exact=True).click()
    expect(said).to_have_text("2 webhooks held")
    expect(page.get_by_text("all held")).to_be_visible()
    page.get_by_role("button", name="Release", exact=True).click()
    expect(page.get_by_text("all held")).to_be_hidden()

    page.get_by_label("mock", exact=True).fill("letters")
    page.get_by_role("button", name="Cancel", exact=True).click()
    expect(page.get_by_role("dialog")).to_contain_text("Cancel what is owed of those that the filter selects?")
    page.get_by_role("button", name="No").click()
    assert site.state("b-1") == "pending"
    page.get_by_role("button", name="Cancel", exact=True).click()
    page.get_by_role("button", name="Yes").click()
    expect(said).to_have_text("1 webhook canceled")
    page.get_by_role("button", name="Resend", exact=True).click()
    page.get_by_role("button", name="Yes").click()
    expect(row(page, "b-1")).to_contain_text("delivered · 200")
    page.get_by_role("button", name="Reset", exact=True).click()
    page.get_by_role("button", name="Yes").click()
    expect(said).to_have_text("1 job forgotten")
    page.get_by_label("mock", exact=True).fill("")
    expect(row(page, "a-1")).to_be_visible()
    assert shown(page) == ["a-1"]


def test_time_and_variables_are_set(page: Page, site: Site) -> None:
    site.order("a-1")
    site.order("a-2")
    page.get_by_label("Duration").fill("1h")
    detail(page, "a-2").get_by_role("button", name="Advance it by 1h").click()
    expect(row(page, "a-2")).to_contain_text("delivered · 200")
    assert site.state("a-1") == "pending"

    page.get_by_label("Speed").fill("60")
    page.get_by_role("button", name="Set speed").click()
    expect(page.locator("#clock")).to_contain_text("60")
    page.get_by_label("Duration").fill("soon")
    page.get_by_role("button", name="Advance", exact=True).click()
    expect(page.locator(".bar .note")).to_contain_text("'soon' is not a duration")

    page.get_by_role("button", name="Variables").click()
    for variable, value in {"verdict": "bad", "tries": "[1.50, 1E400, 2]"}.items():
        page.get_by_label(variable).fill(value)
        page.get_by_label(variable).press("Enter")
        expect(page.locator("#variables .note")).to_have_text(f"{variable} is {value}")
    assert site.http.get("vars").text == '{"verdict":"bad","tries":[1.50,1E400,2]}'
    page.reload()
    page.get_by_role("button", name="Variables").click()
    expect(page.get_by_label("tries")).to_have_value("[1.50,1E400,2]")
