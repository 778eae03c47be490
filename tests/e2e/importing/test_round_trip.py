"""The round trip: a provider's mocks play the third party, a recorder records it, and the inferred mocks do the same."""

import json
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

import latehook
from latehook.cli import main
from support.paths import ROOT
from support.ports import free_port
from support.process import Proxy
from support.receivers import Receiver
from support.recorder import run_recorder
from support.waiting import wait_until

DELAY = "2s"
"""When the recorded jobs are done. A recording takes so long."""


def client_of(url: str, ca: str) -> httpx.Client:
    return httpx.Client(proxy=url, verify=ssl.create_default_context(cafile=ca), trust_env=False)


def webhook_about(sut: Receiver, text: str) -> dict[str, Any]:
    def found() -> dict[str, Any] | None:
        bodies = [request.body for request in list(sut.requests) if text.encode() in request.body]
        return json.loads(bodies[-1]) if bodies else None

    result: dict[str, Any] = wait_until(found, f"a webhook about {text}")
    return result


def transcribe(client: httpx.Client, hook: str, sut: Receiver, go_on: Callable[[], None]) -> list[Any]:
    """Use AssemblyAI, and return what does not depend on ids and times. `go_on` is called before the webhook is due."""
    url = "https://api.assemblyai.com/v2/transcript"
    asked = {"audio_url": "https://storage.example/a.mp3", "webhook_url": hook}
    made = client.post(url, json=asked).json()
    early = client.get(f"{url}/{made['id']}").json()
    go_on()
    webhook = webhook_about(sut, made["id"])
    late = client.get(f"{url}/{made['id']}").json()
    refused = client.post(url, json={"nothing": 1})
    assert webhook == {"transcript_id": made["id"], "status": "completed"}
    assert late["id"] == early["id"] == made["id"]
    return [
        made["status"],
        early["text"],
        late["status"],
        late["text"],
        late["audio_url"],
        refused.status_code,
        refused.json(),
    ]


def check(client: httpx.Client, hook: str, sut: Receiver, go_on: Callable[[], None]) -> list[Any]:
    """Use Onfido, whose webhooks go to a registered URL."""
    url = "https://api.eu.onfido.com/v3.6"
    applicant = client.post(f"{url}/applicants", json={"first_name": "Ada", "last_name": "Byron"}).json()
    made = client.post(f"{url}/checks", json={"applicant_id": applicant["id"], "report_names": ["document"]}).json()
    go_on()
    webhook = webhook_about(sut, made["id"])["payload"]
    late = client.get(f"{url}/checks/{made['id']}").json()
    assert late["applicant_id"] == applicant["id"]
    assert webhook["object"]["href"] == f"{url}/checks/{made['id']}"
    return [applicant["first_name"], made["status"], webhook["action"], late["status"], late["result"]]


@pytest.mark.slow
@pytest.mark.parametrize(("provider", "use"), [("assemblyai", transcribe), ("onfido", check)])
def test_inferred_mocks_do_what_was_recorded(
    start: Callable[..., Proxy],
    sut: Receiver,
    tmp_path: Path,
    provider: str,
    use: Callable[[httpx.Client, str, Receiver, Callable[[], None]], list[Any]],
) -> None:
    file, recording, mocks = (
        ROOT / "addon" / "providers" / f"{provider}.yaml",
        tmp_path / "slow.flow",
        tmp_path / "made.yaml",
    )
    hooks = free_port()
    recorded_hook = f"http://127.0.0.1:{hooks}/hook"
    third_party = start("--set", f"mock_file={file}", env={"CALLBACK_URL": recorded_hook, "DELAY": DELAY})
    with (
        run_recorder(third_party, sut.url, hooks, recording) as recorder,
        client_of(recorder.url, third_party.ca) as client,
    ):
        seen = use(client, recorded_hook, sut, lambda: None)

    assert main(["infer", str(recording), "-o", str(mocks)]) == 0

    played = start("--set", f"mock_file={mocks}", env={"CALLBACK_URL": f"{sut.url}/hook"})
    with client_of(played.url, played.ca) as client, latehook.connect(played.port) as tester:
        assert use(client, f"{sut.url}/hook", sut, lambda: tester.advance(DELAY)) == seen
