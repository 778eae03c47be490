"""What is inferred about lists of jobs that come in pages."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from support.recordings import Tape, scenario
from support.scenario import Scenario

API = "https://api.slow.example/v1/jobs"


def recorded(ids: list[Any], lists: list[tuple[str, Any]]) -> Tape:
    """Return a recording of these jobs, each polled, and of lists: a query with its response."""
    tape = Tape()
    for id in ids:
        tape.request("POST", API, {"order": "a-17"}, 201, {"id": id, "status": "queued"}).wait(1)
        tape.request("GET", f"{API}/{id}", answer={"id": id, "status": "queued"})
    for query, answer in lists:
        tape.request("GET", f"{API}{query}", answer=answer)
    return tape


def made_jobs(text: str, folder: Path) -> tuple[Scenario, list[Any]]:
    played = scenario(text, folder)
    ids = []
    for _ in range(3):
        ids.append(json.loads(played.ask("POST", API, b'{"order": "b"}').response.body)["id"])  # type: ignore[union-attr]
        played.elapsed += 1
    return played, ids


def ask(played: Scenario, query: str) -> Any:
    response = played.ask("GET", f"{API}{query}").response
    assert response is not None
    assert response.status == 200, response.body
    return json.loads(response.body)


A, B, C = ("job_8Kx2mQ7pL0vN4tRw", "job_3Zb9cD1fG5hJ7kLm", "job_Qw8eR2tY6uI0oP4a")


def test_a_page_begins_behind_the_id_that_the_request_names(made: Callable[..., str], tmp_path: Path) -> None:
    def page(id: str, following: str | None) -> Any:
        return {"data": [{"id": id}], "next": following and f"/v1/jobs?limit=1&after={following}", "count": 1}

    text = made(recorded([A, B], [("?limit=1", page(B, B)), (f"?limit=1&after={B}", page(A, None))]))

    played, ids = made_jobs(text, tmp_path)
    assert ask(played, "?limit=1") == page(ids[2], ids[2])
    assert ask(played, f"?limit=1&after={ids[2]}") == page(ids[1], ids[1])
    assert ask(played, f"?limit=1&after={ids[0]}") == {"data": [], "next": None, "count": 0}
    assert [one["id"] for one in ask(played, "?limit=5")["data"]] == ids[::-1]


@pytest.mark.parametrize("first", ["page=1", "offset=0"])
def test_a_page_has_a_number_or_an_offset(made: Callable[..., str], tmp_path: Path, first: str) -> None:
    name, _, number = first.partition("=")
    second = f"{name}={int(number) + 1}"
    lists = [
        (f"?per_page=1&{query}", {"total_count": 2, "has_more": more, "jobs": [{"id": id}]})
        for query, more, id in ((first, True, B), (second, False, A))
    ]

    played, ids = made_jobs(made(recorded([A, B], lists)), tmp_path)

    assert ask(played, f"?per_page=1&{second}") == {"total_count": 3, "has_more": True, "jobs": [{"id": ids[1]}]}
    assert not ask(played, "?per_page=3")["has_more"]


def test_a_list_may_begin_with_the_oldest_and_tell_its_first_and_last_id(
    made: Callable[..., str], tmp_path: Path
) -> None:
    answer = {"paging": {"first": 15, "last": 19}, "data": [{"id": 15}, {"id": 19}]}

    played, ids = made_jobs(made(recorded([15, 19], [("?limit=2", answer)])), tmp_path)

    assert ask(played, "?limit=2") == {
        "paging": {"first": ids[0], "last": ids[1]},
        "data": [{"id": ids[0]}, {"id": ids[1]}],
    }
