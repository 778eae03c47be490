"""What is inferred about the lives of jobs: how a DELETE ends them, and which ones went one way."""

from collections.abc import Callable
from pathlib import Path

import pytest

from support.recordings import HOOK, Tape, mocks_of, scenario

API = "https://api.slow.example/v1/jobs"
ID = "job_8Kx2mQ7pL0vN4tRw"
JOB = {"id": ID, "status": "done"}


def done_job() -> Tape:
    tape = Tape().request("POST", API, {"callback": HOOK}, 201, {"id": ID, "status": "queued"})
    return tape.wait(4).webhook(JOB).wait(1).request("GET", f"{API}/{ID}", answer=JOB)


@pytest.mark.parametrize("answer", [None, JOB])
@pytest.mark.parametrize("status", [404, 410])
def test_a_job_is_not_found_any_more_after_its_deletion(
    made: Callable[..., str], tmp_path: Path, status: int, answer: object
) -> None:
    tape = done_job().request("DELETE", f"{API}/{ID}", answer=answer)
    tape.request("GET", f"{API}/{ID}", status=status, answer={"error": "no such job"})

    played = scenario(text := made(tape), tmp_path)

    [delete] = [mock for mock in mocks_of(text) if mock["match"].startswith("DELETE")]
    assert delete["stages"] == [{"status": "deleted"}]
    posted = played.ask("POST", API, b'{"callback": "http://127.0.0.1:1/"}')
    assert posted.started is not None
    url = f"{API}/{posted.started.id}"
    told = [played.ask(method, url).response for method in ("GET", "DELETE", "GET")]
    assert [one and one.status for one in told] == [200, 200, status]


def test_a_job_that_is_found_after_a_delete_of_a_part_is_not_deleted(made: Callable[..., str]) -> None:
    tape = done_job().request("DELETE", f"{API}/{ID}/file").request("GET", f"{API}/{ID}", answer=JOB)
    tape.request("GET", f"{API}/{ID}/file", status=404, answer={"error": "no file"})
    kept = done_job().request("DELETE", f"{API}/{ID}").request("GET", f"{API}/{ID}", answer=JOB)

    assert "deleted" not in made(tape)
    assert "deleted" not in made(kept)


def test_a_deletion_that_a_webhook_tells_has_the_status_of_the_webhook(made: Callable[..., str]) -> None:
    tape = done_job().request("DELETE", f"{API}/{ID}", status=204).webhook({"id": ID, "status": "removed"})
    tape.request("GET", f"{API}/{ID}", status=404, answer={"error": "no such job"})

    [delete] = [mock for mock in mocks_of(made(tape)) if mock["match"].startswith("DELETE")]
    assert delete["stages"] == [{"status": "removed", "webhook": True}]


def listed(status: str) -> list[dict[str, str]]:
    return [{"id": ID, "status": status}]


def test_a_job_that_was_polled_and_one_that_ended_went_one_way(made: Callable[..., str]) -> None:
    polled = Tape().request("POST", API, {"text": "Hi"}, 201, listed("queued")).wait(2)
    polled.request("GET", f"{API}/{ID}", answer={"id": ID, "status": "running"})
    ended = Tape().request("POST", API, {"text": "Hi"}, 201, listed("queued"))
    ended.wait(10).webhook({"id": ID, "status": "done"})
    for tapes in ((polled, ended), (ended, polled)):
        post, get = mocks_of(text := made(*tapes))

        running, done = {"after": "2s", "status": "running"}, {"after": "10s", "status": "done", "webhook": True}
        assert post["stages"] == [{"status": "queued"}, running, done]
        assert (get["response"]["json"]["status"], "left out" in text) == ("{{ job.status }}", False)


def test_jobs_that_cannot_have_gone_one_way_are_not_joined(made: Callable[..., str]) -> None:
    polled_late = Tape().request("POST", API, {"text": "Hi"}, 201, listed("queued")).wait(30)
    polled_late.request("GET", f"{API}/{ID}", answer={"id": ID, "status": "running"})
    ended = Tape().request("POST", API, {"text": "Hi"}, 201, listed("queued"))
    ended.wait(10).webhook({"id": ID, "status": "done"})

    assert "left out: POST" in made(polled_late, ended)
