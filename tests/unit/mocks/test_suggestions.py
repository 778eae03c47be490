"""A suggested mock takes the request for which it is suggested, whatever the request is."""

from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from latehook.base.messages import Request
from latehook.base.redaction import Redaction
from latehook.mocks.suggestions import LONGEST_PATH, suggest
from latehook.mocksfile.loading import load
from support.scenario import Scenario, json_body, request


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("suggestions") / "mocks.yaml"


def unchanged(text: str) -> str:
    return text


segments = st.one_of(
    st.sampled_from(
        ["", "jobs", "**", "*", ":id", "a:cancel", "{id}", "%2F", "{{ 7 }}", ".", "..", "a b", "#", "'\"", "~"]
    ),
    st.text(max_size=8).map(lambda text: quote(text, safe="!$&'()+,;=@:*{}", errors="replace")),
    st.binary(max_size=4).map(quote),
    st.integers(0).map(str),
    st.uuids().map(str),
)
paths = st.lists(segments, max_size=6).map(lambda parts: "/" + "/".join(parts))


@given(
    method=st.sampled_from(["GET", "HEAD", "POST", "DELETE", "PURGE", "POTS", "post", "M-SEARCH"]),
    scheme=st.sampled_from(["http", "https"]),
    host=st.sampled_from(
        ["api.slow.example", "API.slow.example.", "127.0.0.1", "::1", "bücher.example", "a_b.example"]
    ),
    port=st.sampled_from([80, 443, 8443]),
    path=paths,
)
@example("GET", "https", "api.slow.example", 443, "/" + "a" * LONGEST_PATH + "/b")
@example("GET", "https", "api.slow.example", 443, "/" + "a/" * LONGEST_PATH)
@settings(max_examples=40, deadline=None)
def test_a_suggestion_takes_its_request(file: Path, method: str, scheme: str, host: str, port: int, path: str) -> None:
    given = Request(method, scheme, host, port, f"{path}?q=1")

    text = suggest(given, unchanged)

    assert text is not None
    file.write_text(text)
    [mock] = [found for found, _ in load([file], {}).candidates(given)]
    assert len(mock.matcher.text) < LONGEST_PATH + 100


@pytest.mark.parametrize("target", ["*", "", "api.slow.example:443"])
def test_where_no_mock_can_take_a_request_none_is_suggested(target: str) -> None:
    assert suggest(Request("OPTIONS", "http", "api.slow.example", 80, target), unchanged) is None


@pytest.mark.parametrize(
    ("body", "kind", "to"),
    [
        (
            b'{"order": 7, "callback_url": "http://app.test/hook"}',
            "application/json",
            "{{ request.json.callback_url }}",
        ),
        (
            b"Body=hi&StatusCallback=http%3A%2F%2Fapp.test",
            "application/x-www-form-urlencoded",
            "{{ request.form.StatusCallback }}",
        ),
    ],
)
def test_a_suggestion_sends_the_webhook_where_the_request_says(
    scenario_of: Callable[..., Scenario], body: bytes, kind: str, to: str
) -> None:
    given = request("POST", "https://api.slow.example/jobs", body, content_type=kind)

    text = suggest(given, unchanged)

    assert text is not None and to in text
    scenario = scenario_of(text)
    decision = scenario.ask("POST", given.url, body, content_type=kind)
    assert decision.started is not None
    assert json_body(decision) == {"id": decision.started.id, "status": "accepted"}
    assert (decision.started.webhooks[0].to or "").startswith("http://app.test")


def test_ids_in_a_path_are_captured(scenario_of: Callable[..., Scenario]) -> None:
    text = suggest(request("GET", "https://api.slow.example/users/17/jobs/job_4a3a"), unchanged)

    assert text is not None and "GET https://api.slow.example/users/{id}/jobs/{id_4}\n" in text
    assert json_body(scenario_of(text).ask("GET", "https://api.slow.example/users/4/jobs/b-1")) == {
        "id": "b-1",
        "status": "done",
    }


@pytest.mark.parametrize(
    ("path", "match"),
    [
        ("/services/T0-s3cret-token/x", "https://api.slow.example/services/{part_2}/x\n"),
        ("/services/s3cret%2Dtoken", "https://api.slow.example/services/{part_2}\n"),
    ],
)
def test_a_suggestion_has_no_secret(path: str, match: str) -> None:
    redact = Redaction(["s3cret-token", "accepted-by/nobody"]).redact

    text = suggest(request("GET", f"https://api.slow.example{path}"), redact)

    assert text is not None and match in text
    assert suggest(request("GET", "https://api.slow.example/accepted-by/nobody"), redact) is None


@pytest.mark.parametrize(
    "body",
    [b"[]", b"{", b"\xff", b'{"hook": 1}', b'{"hook": "no url"}', b'{"a hook": "http://app.test"}', b'"http://hook"'],
)
def test_a_body_without_a_url_for_a_webhook_leaves_the_webhook_to_the_user(body: bytes) -> None:
    text = suggest(
        request("POST", "https://api.slow.example/jobs?hook=x", body, content_type="application/json"), unchanged
    )

    assert text == (
        "mocks:\n"
        "  - match: POST https://api.slow.example/jobs\n"
        "    response: {json: {status: done}}\n"
        "    # webhook: {after: 5s, to: 'http://127.0.0.1:9000/', json: {status: done}}\n"
    )
