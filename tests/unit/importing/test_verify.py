"""`latehook verify` plays a recording to mocks and names every field that differs, and nothing else."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from latehook.cli import main
from support.recordings import HOOK, Tape

API = "https://api.slow.example/v1/jobs"
ID = "job_8Kx2mQ7pL0vN4tRw"

MOCKS = """
mocks:
  - match: POST https://api.slow.example/v1/jobs
    job: {id: "job_{{ random.base62(16) }}"}
    response: {status: 201, json: {id: "{{ job.id }}", status: "{{ job.status }}", at: "{{ now | iso8601 }}", region: eu}}
    stages: [{status: queued}, {after: 12s, status: done, webhook: true}]
    webhook: {to: "{{ request.json.callback }}", json: {id: "{{ job.id }}", status: "{{ job.status }}", pages: 42}}
  - match: GET https://api.slow.example/v1/jobs/{id}
    lookup: request.path.id
    response: {json: {id: "{{ job.id }}", status: "{{ job.status }}"}}
"""


def recording(status: int = 201, after: float = 12.0, webhooks: int = 1, start: Any = (), hook: Any = ()) -> Tape:
    """Record one job. `start` and `hook` are changes of the first response and of the webhook."""
    from latehook.base.timestamps import iso8601

    tape = Tape()
    answer = {"id": ID, "status": "queued", "at": iso8601(tape.now), "region": "eu", **dict(start)}
    tape.request("POST", API, {"callback": HOOK}, status, answer).request(
        "GET", f"{API}/{ID}", answer={"id": ID, "status": "queued"}
    )
    tape.wait(after - 0.2)
    for _ in range(webhooks):
        tape.webhook({"id": ID, "status": "done", "pages": 42, **dict(hook)})
    return tape.wait(0.1).request("GET", f"{API}/{ID}", answer={"id": ID, "status": "done"})


@pytest.fixture
def verify(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, dict[str, Any]]]:
    """`verify(tape)` returns the exit status and the JSON of the command."""

    def run(tape: Tape, mocks: str = MOCKS) -> tuple[int, dict[str, Any]]:
        (tmp_path / "mocks.yaml").write_text(mocks)
        status = main(["verify", str(tmp_path / "mocks.yaml"), str(tape.write(tmp_path / "slow.flow")), "--json"])
        return status, json.loads(capsys.readouterr().out)

    return run


def test_ids_and_times_of_another_run_are_no_difference(verify: Callable[..., Any]) -> None:
    assert verify(recording()) == (0, {"requests": 3, "webhooks": 1, "differences": []})


@pytest.mark.parametrize(
    ("changes", "where", "field", "recorded", "mocked"),
    [
        ({"status": 202}, "POST /v1/jobs", "status", "202", "201"),
        ({"start": {"region": "us"}}, "POST /v1/jobs", "region", '"us"', '"eu"'),
        ({"start": {"new": [1, 2]}}, "POST /v1/jobs", "new", "a list of 2", "nothing"),
        ({"start": {"region": None}}, "POST /v1/jobs", "region", "null", '"eu"'),
        ({"start": {"at": "2027-01-15T09:00:00.000Z"}}, "POST /v1/jobs", "at", None, None),
        ({"hook": {"pages": 43}}, "webhook POST /hook", "pages", "43", "42"),
        ({"hook": {"pages": "42"}}, "webhook POST /hook", "pages", '"42"', "42"),
        ({"webhooks": 2, "hook": {}}, "webhook POST /hook (number 2)", "webhook", "sent", "missing"),
        ({"webhooks": 0}, "webhook POST /hook", "webhook", "not sent", "sent"),
        ({"after": 20.0}, "webhook POST /hook", "time", "20s after the first request", "12s after the first request"),
    ],
)  # fmt: skip
def test_each_difference_is_named(
    verify: Callable[..., Any],
    changes: dict[str, Any],
    where: str,
    field: str,
    recorded: str | None,
    mocked: str | None,
) -> None:
    status, found = verify(recording(**changes))

    assert status == 1
    [difference] = found["differences"]
    assert (difference["where"], difference["field"]) == (where, field)
    if recorded is not None:
        assert (difference["recorded"], difference["mocked"]) == (recorded, mocked)


def test_a_poll_that_rounded_times_make_early_is_made_again(verify: Callable[..., Any]) -> None:
    assert (
        verify(recording(after=10.6))[0] == 0
    )  # the webhook and the poll behind it come 1.4 s before those of the mocks


def test_a_small_number_as_id_is_translated(verify: Callable[..., Any]) -> None:
    mocks = MOCKS.replace('"job_{{ random.base62(16) }}"', '"{{ random.int(1000, 9999) }}"').replace(
        'id: "{{ job.id }}"', 'id: "{{ job.id | int }}"'
    )
    tape = Tape().request(
        "POST",
        API,
        {"callback": None},
        201,
        {"id": 4, "status": "queued", "at": "2027-01-15T08:00:00.000Z", "region": "eu"},
    )
    tape.request("GET", f"{API}/4", answer={"id": 4, "status": "queued"})

    assert verify(tape, mocks)[1]["differences"] == []


def test_inferred_mocks_have_no_difference(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flow, mocks = recording().write(tmp_path / "slow.flow"), tmp_path / "mocks.yaml"

    assert main(["infer", str(flow), "--host", "api.slow.example", "-o", str(mocks)]) == 0
    assert main(["verify", str(mocks), str(flow)]) == 0

    assert capsys.readouterr().out == f"{flow}: 3 requests and 1 webhook compared: no difference\n"


def test_a_difference_shows_no_secret(verify: Callable[..., Any], capsys: pytest.CaptureFixture[str]) -> None:
    status, found = verify(recording(start={"client_secret": "hunter2-hunter2", "mail": "ada@byron.example"}))

    assert status == 1
    assert {one["recorded"] for one in found["differences"]} == {
        "another value (secret)",
        "another value (personal data)",
    }


@pytest.mark.parametrize(
    ("mocks", "host", "problem"),
    [
        ("mocks: [{match: GET nobody.example/x}]", "", "has no request to nobody.example: nothing can be compared"),
        ("mocks: [{match: nonsense}]", "", "'nonsense' is not a match"),
    ],
)
def test_errors_have_another_exit_status(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], mocks: str, host: str, problem: str
) -> None:
    (tmp_path / "mocks.yaml").write_text(mocks)

    assert main(["verify", str(tmp_path / "mocks.yaml"), str(recording().write(tmp_path / "slow.flow"))]) == 2

    assert problem in capsys.readouterr().err
