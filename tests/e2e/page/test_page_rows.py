"""What a row of the page shows: the mock's name, the time line, the states, the count of the filter, long bodies."""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from support.browser import NEEDS_CHROMIUM, Site, detail, opened, row, shown, too_wide
from support.process import mitmdump
from support.receivers import answer, receiver

pytestmark = NEEDS_CHROMIUM

MOCKS = """
mocks:
  - match: POST http://api.a-service-with-a-long-name.example/v2/transcripts
    job: {{id: "{{{{ request.json.id }}}}"}}
    response: {{text: "{{{{ request.text }}}}"}}
    stages: [{{after: 2s, status: queued, webhook: true}}, {{after: 1h, status: failed, webhook: true}}]
    webhook: {{to: "{sut}/hook", text: "{{{{ request.text }}}}", retry: [1s, 2s]}}
  - match: POST http://api.a-service-with-a-long-name.example/v2/jobs/{{kind}}/exports
    job: {{id: "{{{{ request.json.id }}}}"}}
"""
HOST = "http://api.a-service-with-a-long-name.example"


@pytest.fixture(scope="module")
def shared_site(confdir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The proxy of this file, in place of that of conftest.py."""
    file = tmp_path_factory.mktemp("rows") / "mocks.yaml"
    with receiver() as sut:
        file.write_text(MOCKS.format(sut=sut.url))
        with mitmdump(confdir, "--set", f"mock_file={file}") as proxy:
            yield Site(proxy, sut)


def places(page: Page, job: str, kind: str) -> list[float]:
    """Return where the marks of a kind are in a job's line, in pixels."""
    found: list[float] = (
        row(page, job)
        .locator(f".line i.{kind}")
        .evaluate_all("nodes => nodes.map(node => node.getBoundingClientRect().x)")
    )
    return sorted(found)


def test_a_row_shows_what_distinguishes_it(chromium: Browser, site: Site) -> None:
    site.client.post(f"{HOST}/v2/transcripts", json={"id": "a-1"})
    site.client.post(f"{HOST}/v2/jobs/video/exports", json={"id": "b-1"})
    with opened(chromium, site.url) as page:
        for job, mock in [("a-1", "POST /v2/transcripts"), ("b-1", "POST /v2/jobs/{kind}/exports")]:
            name = row(page, job).locator("[data-part=mock]")
            expect(name).to_have_text(mock)
            assert name.evaluate("node => node.scrollWidth <= node.clientWidth")
        site.post("mocks", mocks=[{"match": "POST http://another.example/v2/transcripts", "job": {"id": "c-1"}}])
        expect(row(page, "a-1").locator("[data-part=mock]")).to_have_text(f"POST {HOST[7:]}/v2/transcripts")
        assert too_wide(page) == []


def test_mocks_of_the_same_name_are_told_apart(chromium: Browser, site: Site) -> None:
    kinds = [{"when": "request.json.kind == 'person'"}, {"when": "request.json.kind == 'company'"}, {}]
    match = "POST http://checks.example/v1/checks"
    with opened(chromium, site.url) as page:
        start = page.locator("#start")
        site.post("mocks", mocks=[{"match": match, "job": {"id": "{{ request.json.id }}"}, **kind} for kind in kinds])
        for speed in (2, 3, 4):  # each time the page draws the list of mocks again
            site.post("clock", speed=speed)
            expect(page.locator("#clock")).to_contain_text(f"\N{MULTIPLICATION SIGN}{speed}")
            for kind in ("person", "company"):
                expect(start).to_contain_text(f"{match} when request.json.kind == '{kind}'")
        for id, kind in [("a-1", "person"), ("b-1", "company"), ("c-1", "other")]:
            site.client.post("http://checks.example/v1/checks", json={"id": id, "kind": kind})
        for id, told in [
            ("a-1", " when request.json.kind == 'person'"),
            ("b-1", " when request.json.kind == 'company'"),
        ]:
            expect(row(page, id).locator("[data-part=mock]")).to_contain_text(f"/v1/checks{told}")
        expect(row(page, "c-1").locator("[data-part=mock]")).to_contain_text("/v1/checks posted mocks:1")
        expect(detail(page, "b-1")).to_contain_text(f"{match} when request.json.kind == 'company'")
        assert too_wide(page) == []


def test_early_marks_and_one_an_hour_away_can_all_be_seen(chromium: Browser, site: Site) -> None:
    site.sut.behave = answer(500)
    site.client.post(f"{HOST}/v2/transcripts", json={"id": "a-1"})
    site.post("clock", advance="10s")
    with opened(chromium, site.url) as page:
        expect(row(page, "a-1").locator(".line i.failed")).to_have_count(3)
        marks = [*places(page, "a-1", "request"), *places(page, "a-1", "failed"), *places(page, "a-1", "pending")]

        assert len(marks) == 5
        assert all(after - before >= 10 for before, after in pairwise(marks)), marks


def test_the_jobs_status_and_its_webhooks_state_differ_in_form(chromium: Browser, site: Site) -> None:
    site.sut.behave = answer(500)
    site.client.post(f"{HOST}/v2/transcripts", json={"id": "a-1"})
    site.post("clock", advance="2h")
    with opened(chromium, site.url) as page:
        found = row(page, "a-1")
        expect(found.locator(".state")).to_have_text("failed · 500")
        expect(found.locator(".state > i.failed")).to_be_visible()
        status = found.locator("[data-part=status]")
        expect(status).to_have_text("failed")
        assert status.evaluate("node => getComputedStyle(node).borderTopWidth") == "1px"


def test_the_tab_counts_what_the_filter_selects_and_an_error_leaves_no_rows(chromium: Browser, site: Site) -> None:
    for number in range(60):
        site.client.post(f"{HOST}/v2/transcripts", json={"id": f"a-{number}", "odd": number % 2 == 1})
    with opened(chromium, site.url) as page:
        jobs = page.get_by_role("button", name="Jobs")
        expect(jobs).to_have_text("Jobs 60")
        page.get_by_label("where", exact=True).fill("request.json.odd")
        expect(jobs).to_have_text("Jobs 30 of 60")
        page.get_by_label("where", exact=True).fill("request.json.id")
        expect(jobs).to_have_text("Jobs 50+ of 60")
        page.get_by_label("where", exact=True).fill("requst.json")
        expect(page.locator("#none")).to_have_text("Nothing is listed: the filter has an error.")
        assert shown(page) == []
        expect(jobs).to_have_text("Jobs 60")
        page.get_by_label("where", exact=True).fill("")
        expect(row(page, "a-59")).to_be_visible()


def test_a_long_body_is_shown_on_demand(chromium: Browser, site: Site) -> None:
    site.client.post(f"{HOST}/v2/transcripts", json={"id": "a-1", "text": "x" * 20_000 + "END"})
    site.post("clock", advance="3s")
    with opened(chromium, site.url) as page:
        pane = detail(page, "a-1")
        expect(pane.locator(".card").first).to_contain_text("19.6 KiB")
        for part in (pane.locator(".card").first, pane.locator("section", has_text="Response").last):
            part.locator("summary", has_text="KiB").first.click()
            text = part.locator("pre").first
            expect(text).not_to_contain_text("END")
            part.get_by_role("button", name="Show all of it").first.click()
            expect(text).to_contain_text("END")
