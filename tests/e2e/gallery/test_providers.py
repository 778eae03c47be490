"""The gallery: each provider's file is used by the provider's own SDK, or by the requests that its documentation shows.

A test waits for the last webhook, and verifies its signature with the vendor's own code (or computes it again, where
there is none for Python). Then it polls the status, which must be the one that the webhook had.
"""

import base64
import hashlib
import json
import ssl
from collections.abc import Callable
from pathlib import Path
from urllib.parse import parse_qsl

import assemblyai
import cloudconvert
import httpx
import jwt
import pytest
import replicate
import standardwebhooks
import stripe
import twilio.rest
from twilio.base.exceptions import TwilioRestException
from twilio.request_validator import RequestValidator

from latehook.mocksfile.loading import load
from support.gallery import FILES, Gallery, hmac_of, poll
from support.receivers import Received, Receiver, answer
from support.waiting import wait_until

# The files themselves


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_each_file_loads_alone_with_only_the_callback_url(file: Path) -> None:
    assert load([file], {"CALLBACK_URL": "http://app.test/hook"}).all


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_each_file_says_what_it_mocks_and_names_its_source(file: Path) -> None:
    lines = file.read_text().splitlines()

    head = "\n".join(line for line in lines if line.startswith("#"))
    assert lines[1].startswith("# ")  # the first line is for editors
    assert [part for part in ("# Point at it: ", "# Left out: ", "# Source: ") if part not in head] == []
    assert "read 2026-" in head
    assert max(map(len, lines)) <= 120
    tests = "".join(test.read_text() for test in Path(__file__).parent.glob("test_*.py"))
    assert f"def test_{file.stem.replace('-', '_')}_" in tests, "no test uses it"


# Speech


def test_assemblyai_by_its_sdk(gallery: Gallery, use_proxy: Callable[[Gallery], None], sut: Receiver) -> None:
    use_proxy(gallery)
    client = assemblyai.Client(api_key="key")
    config = assemblyai.TranscriptionConfig().set_webhook(f"{sut.url}/hook", "X-My-Secret", "s3cret")

    transcript = assemblyai.Transcriber(client=client).submit("https://storage.example/audio.mp3", config)

    assert transcript.status == assemblyai.TranscriptStatus.queued
    [webhook] = sut.wait(1)
    assert (webhook.method, webhook.path, webhook.headers["x-my-secret"]) == ("POST", "/hook", "s3cret")
    assert json.loads(webhook.body) == {"transcript_id": transcript.id, "status": "completed"}
    transcript.wait_for_completion()
    assert transcript.status == assemblyai.TranscriptStatus.completed
    assert (transcript.text or "").startswith("Smoke from")


def test_assemblyai_refuses_an_invalid_request(gallery: Gallery) -> None:
    transcripts = "https://api.assemblyai.com/v2/transcript"

    assert gallery.api.post(transcripts, json={"url": 1}).status_code == 400
    assert gallery.api.get(f"{transcripts}/nobody").json() == {
        "error": "Transcript lookup error, transcript id not found"
    }


@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_deepgram_calls_back_with_the_whole_result(gallery: Gallery, sut: Receiver, method: str) -> None:
    listen = "https://api.deepgram.com/v1/listen"
    audio = b"RIFF" * 1000
    callback = f"http://me:pass@127.0.0.1:{sut.port}/hook"

    asked = gallery.api.post(
        listen,
        params={"callback": callback, **({"callback_method": "put"} if method == "PUT" else {}), "model": "nova-3"},
        data=audio,
        headers={"Authorization": "Token key", "Content-Type": "audio/wav"},
    )

    [webhook] = sut.wait(1)
    result = json.loads(webhook.body)
    assert asked.json() == {"request_id": result["metadata"]["request_id"]}
    assert (webhook.method, webhook.path) == (method, "/hook")
    assert webhook.headers["dg-token"] == "a0b1c2d3-key-id"
    assert webhook.headers["authorization"] == f"Basic {base64.b64encode(b'me:pass').decode()}"
    assert result["metadata"]["sha256"] == hashlib.sha256(audio).hexdigest()
    assert result["metadata"]["models"] == ["nova-3"]
    assert result["results"]["channels"][0]["alternatives"][0]["transcript"].startswith("Yeah")
    at_once = gallery.api.post(listen, data=audio).json()
    assert at_once["results"] == result["results"]
    assert gallery.api.post(listen).status_code == 400


def test_rev_ai_sends_the_headers_that_the_caller_gave(gallery: Gallery, sut: Receiver) -> None:
    jobs = "https://api.rev.ai/speechtotext/v1/jobs"
    notify = {"url": f"{sut.url}/hook", "auth_headers": {"Authorization": "Bearer mine"}}
    options = {"notification_config": notify, "metadata": "order-17"}

    job = gallery.api.post(jobs, json={"source_config": {"url": "https://storage.example/a.mp3"}, **options}).json()

    assert job["status"] == "in_progress"
    [webhook] = sut.wait(1)
    payload = json.loads(webhook.body)["job"]
    assert webhook.headers["authorization"] == "Bearer mine"
    assert (payload["id"], payload["status"], payload["metadata"]) == (job["id"], "transcribed", "order-17")
    assert gallery.api.get(f"{jobs}/{job['id']}").json() == payload
    assert gallery.api.get(f"{jobs}/{job['id']}/transcript").json()["monologues"]


def test_rev_ai_accepts_an_upload_with_json_in_a_field(slow_gallery: Gallery, gallery: Gallery, sut: Receiver) -> None:
    jobs = "https://api.rev.ai/speechtotext/v1/jobs"
    options = json.dumps({"callback_url": f"{sut.url}/hook", "metadata": "upload"})

    job = gallery.api.post(jobs, files={"media": ("a.mp3", b"ID3", "audio/mpeg")}, data={"options": options}).json()

    [webhook] = sut.wait(1)
    assert json.loads(webhook.body)["job"]["metadata"] == job["metadata"] == "upload"
    early = slow_gallery.api.post(jobs, json={"source_config": {"url": "https://storage.example/a.mp3"}}).json()
    assert slow_gallery.api.get(f"{jobs}/{early['id']}/transcript").json()["current_value"] == "in_progress"
    assert gallery.api.post(jobs, json={}).status_code == 400


WATSON = "https://api.eu-de.speech-to-text.watson.cloud.ibm.com/instances/i-1/v1"


def test_ibm_watson_calls_the_url_that_was_registered(gallery: Gallery, sut: Receiver) -> None:
    callback = f"{sut.url}/results"
    audio = {"data": b"fLaC", "headers": {"Content-Type": "audio/flac"}}
    events = "recognitions.started,recognitions.completed_with_results"
    asked = {"callback_url": callback, "events": events, "user_token": "job25"}
    assert gallery.api.post(f"{WATSON}/recognitions", params=asked, **audio).status_code == 400  # type: ignore[arg-type]

    registration = {"callback_url": callback, "user_secret": "ThisIsMySecret"}
    unanswered = gallery.api.post(f"{WATSON}/register_callback", params=registration)
    assert (unanswered.status_code, sut.requests.pop().method) == (400, "GET")
    assert gallery.api.post(f"{WATSON}/recognitions", params=asked, **audio).status_code == 400  # type: ignore[arg-type]
    sut.behave = lambda handler, number: answer(200, handler.path.partition("_string=")[2].encode())(handler, number)
    registered = gallery.api.post(f"{WATSON}/register_callback", params=registration)
    challenge = sut.requests[0]  # it came before the response
    job = gallery.api.post(f"{WATSON}/recognitions", params=asked, **audio).json()  # type: ignore[arg-type]

    assert (registered.status_code, registered.json()) == (201, {"status": "created", "url": callback})
    assert challenge.method == "GET"
    assert challenge.query["challenge_string"]
    _, started, completed = sut.wait(3)
    for webhook in (started, completed):
        signature = base64.b64encode(hmac_of(webhook.body, "ThisIsMySecret", "sha1")).decode()
        assert webhook.headers["x-callback-signature"] == signature
    assert json.loads(started.body) == {"id": job["id"], "event": "recognitions.started", "user_token": "job25"}
    payload = json.loads(completed.body)
    assert (payload["event"], payload["user_token"]) == ("recognitions.completed_with_results", "job25")
    polled = gallery.api.get(job["url"]).json()
    assert (polled["status"], polled["results"]) == ("completed", payload["results"])


# Pictures, video, documents


def replicate_of(gallery: Gallery) -> replicate.Client:
    verified = ssl.create_default_context(cafile=gallery.proxy.ca)
    return replicate.Client(api_token="r8_x", transport=httpx.HTTPTransport(proxy=gallery.proxy.url, verify=verified))


def test_replicate_by_its_sdk(gallery: Gallery, sut: Receiver) -> None:
    client = replicate_of(gallery)

    prediction = client.predictions.create(
        version="5c7d5dc6dd8bf75c1acaa8565735e7986bc5b66206b55cca93cb72c9bf15ccaa",
        input={"prompt": "a ship"},
        webhook=f"{sut.url}/hook",
        webhook_events_filter=["start", "completed"],
    )

    assert prediction.status == "starting"
    webhooks = sut.wait(2)
    secret = client.webhooks.default.secret()
    for webhook in webhooks:
        payload = standardwebhooks.Webhook(secret.key).verify(webhook.body, webhook.headers)
        client.webhooks.validate(headers=webhook.headers, body=webhook.body.decode(), secret=secret, tolerance=300)
        assert (payload["id"], payload["input"]) == (prediction.id, {"prompt": "a ship"})
    assert [json.loads(webhook.body)["status"] for webhook in webhooks] == ["processing", "succeeded"]
    assert len({webhook.headers["webhook-id"] for webhook in webhooks}) == 2
    prediction.reload()
    final = json.loads(webhooks[1].body)
    assert (prediction.status, prediction.output) == ("succeeded", final["output"])
    assert (prediction.completed_at, prediction.metrics) == (final["completed_at"], final["metrics"])


def test_replicate_cancels(slow_gallery: Gallery, sut: Receiver) -> None:
    client = replicate_of(slow_gallery)
    events = ["completed"]
    prediction = client.predictions.create(version="5c7d5dc6", input={}, webhook=sut.url, webhook_events_filter=events)

    prediction.cancel()

    [webhook] = sut.wait(1)
    standardwebhooks.Webhook(client.webhooks.default.secret().key).verify(webhook.body, webhook.headers)
    prediction.reload()
    assert prediction.status == json.loads(webhook.body)["status"] == "canceled"
    refused = slow_gallery.api.post("https://api.replicate.com/v1/predictions", json={"input": {}})
    assert (refused.status_code, refused.json()["title"]) == (422, "Input validation failed")


def test_cloudconvert_by_its_sdk(gallery: Gallery, use_proxy: Callable[[Gallery], None], sut: Receiver) -> None:
    use_proxy(gallery)
    cloudconvert.configure(api_key="key", sandbox=False)
    tasks = {
        "import-my-file": {"operation": "import/url", "url": "https://storage.example/a.docx"},
        "convert-my-file": {"operation": "convert", "input": "import-my-file", "output_format": "pdf"},
        "export-my-file": {"operation": "export/url", "input": "convert-my-file"},
    }

    job = cloudconvert.Job.create(payload={"tasks": tasks, "tag": "order-17", "webhook_url": f"{sut.url}/hook"})
    waited = cloudconvert.Job.wait(id=job["id"])

    [webhook] = sut.wait(1)
    signature = webhook.headers["cloudconvert-signature"]
    assert cloudconvert.Webhook.verify(webhook.body.decode(), signature, "latehook-cloudconvert")
    payload = json.loads(webhook.body)
    assert payload["event"] == "job.finished"
    assert (payload["job"]["id"], payload["job"]["tag"]) == (job["id"], "order-17")
    final = cloudconvert.Job.find(id=job["id"])
    assert waited == final == payload["job"]
    [export] = [task for task in final["tasks"] if task["name"] == "export-my-file"]
    assert export["result"]["files"][0]["filename"] == "out.pdf"


def test_cloudconvert_calls_the_accounts_url_if_the_job_names_none(gallery: Gallery) -> None:
    jobs = "https://api.cloudconvert.com/v2/jobs"

    job = gallery.api.post(jobs, json={"tasks": {"a": {"operation": "export/url"}}}).json()["data"]

    assert gallery.events(1, job["id"])[0].path == "/registered"
    assert gallery.api.post(jobs, json={}).status_code == 422


def test_mux_sends_the_events_of_a_video_with_its_passthrough(gallery: Gallery) -> None:
    assets = "https://api.mux.com/video/v1/assets"

    made = gallery.api.post(assets, json={"inputs": [{"url": "https://storage.example/a.mp4"}], "passthrough": "v-17"})

    asset = made.json()["data"]
    assert (made.status_code, asset["status"]) == (201, "preparing")
    created, ready = gallery.events(2, asset["id"])
    for webhook in (created, ready):
        stamp, _, signature = webhook.headers["mux-signature"].partition(",v1=")
        signed = f"{stamp.removeprefix('t=')}.".encode() + webhook.body
        assert signature == hmac_of(signed, "latehook-mux").hex()
    payload = json.loads(ready.body)
    assert [json.loads(event.body)["type"] for event in (created, ready)] == [
        "video.asset.created",
        "video.asset.ready",
    ]
    assert (payload["object"], payload["data"]["passthrough"]) == ({"type": "asset", "id": asset["id"]}, "v-17")
    assert gallery.api.get(f"{assets}/{asset['id']}").json()["data"] == payload["data"]

    assert gallery.api.delete(f"{assets}/{asset['id']}").status_code == 204
    assert json.loads(gallery.events(3, asset["id"])[2].body)["type"] == "video.asset.deleted"
    assert gallery.api.get(f"{assets}/{asset['id']}").status_code == 404
    assert gallery.api.post(assets, json={}).status_code == 400


def test_azure_document_is_polled_at_the_url_in_the_header(gallery: Gallery, slow_gallery: Gallery) -> None:
    url = "https://contoso.cognitiveservices.azure.com/documentintelligence/documentModels/prebuilt-invoice:analyze"
    document = {"params": {"api-version": "2024-11-30"}, "json": {"urlSource": "https://storage.example/a.pdf"}}

    accepted = gallery.api.post(url, **document)  # type: ignore[arg-type]

    where = accepted.headers["operation-location"]
    assert (accepted.status_code, accepted.content, accepted.headers["retry-after"]) == (202, b"", "1")
    assert where.endswith("?api-version=2024-11-30")
    done = poll(lambda: gallery.api.get(where).json(), "succeeded")
    assert done["analyzeResult"]["modelId"] == "prebuilt-invoice"
    early = slow_gallery.api.post(url, **document).headers["operation-location"]  # type: ignore[arg-type]
    assert "analyzeResult" not in poll(lambda: slow_gallery.api.get(early).json(), "running")
    assert gallery.api.post(url).status_code == 400


def test_google_speech_is_an_operation_that_is_only_polled(gallery: Gallery, slow_gallery: Gallery) -> None:
    speech = "https://speech.googleapis.com/v1"
    audio = {"config": {"languageCode": "en-US"}, "audio": {"uri": "gs://bucket/a.flac"}}

    name = gallery.api.post(f"{speech}/speech:longrunningrecognize", json=audio).json()["name"]

    operation = wait_until(
        lambda: (found := gallery.api.get(f"{speech}/operations/{name}").json()).get("done") and found, "done"
    )
    assert (operation["name"], operation["metadata"]["progressPercent"]) == (name, 100)
    assert operation["response"]["results"][0]["alternatives"]
    early = slow_gallery.api.post(f"{speech}/speech:longrunningrecognize", json=audio).json()["name"]
    assert "done" not in slow_gallery.api.get(f"{speech}/operations/{early}").json()
    assert gallery.api.post(f"{speech}/speech:longrunningrecognize", json={}).json()["error"]["code"] == 400
    assert gallery.api.get(f"{speech}/operations/0").json()["error"]["status"] == "NOT_FOUND"


# People and papers


def test_onfido_checks_an_applicant(gallery: Gallery) -> None:
    onfido = "https://api.eu.onfido.com/v3.6"
    applicant = gallery.api.post(f"{onfido}/applicants", json={"first_name": "Jane", "last_name": "Doe"}).json()

    check = gallery.api.post(
        f"{onfido}/checks",
        json={"applicant_id": applicant["id"], "report_names": ["document", "facial_similarity_photo"]},
    )

    assert check.status_code == 201
    assert (check.json()["status"], check.json()["result"]) == ("in_progress", None)
    [webhook] = gallery.events(1, check.json()["id"])
    assert webhook.headers["x-sha2-signature"] == hmac_of(webhook.body, "latehook-onfido-token").hex()
    payload = json.loads(webhook.body)["payload"]
    assert (payload["action"], payload["object"]["status"]) == ("check.completed", "complete")
    final = gallery.api.get(payload["object"]["href"]).json()
    assert (final["id"], final["status"], final["result"]) == (check.json()["id"], "complete", "clear")
    assert gallery.api.post(f"{onfido}/checks", json={}).status_code == 422


DOCUSIGN = "https://demo.docusign.net/restapi/v2.1/accounts/acc-1/envelopes"
ENVELOPE = {"status": "sent", "emailSubject": "Please sign", "recipients": {"signers": [{"email": "a@app.test"}]}}


def docusign_signature(webhook: Received) -> None:
    assert webhook.headers["x-authorization-digest"] == "HMACSHA256"
    signature = base64.b64encode(hmac_of(webhook.body, "latehook-docusign")).decode()
    assert webhook.headers["x-docusign-signature-1"] == signature


def test_docusign_sends_an_event_for_each_state(gallery: Gallery, sut: Receiver) -> None:
    made = gallery.api.post(DOCUSIGN, json={**ENVELOPE, "eventNotification": {"url": f"{sut.url}/connect"}})

    envelope = made.json()
    assert (made.status_code, envelope["status"]) == (201, "sent")
    webhooks = sut.wait(3)
    for webhook in webhooks:
        docusign_signature(webhook)
        assert json.loads(webhook.body)["data"]["envelopeId"] == envelope["envelopeId"]
    events = ["envelope-sent", "envelope-delivered", "envelope-completed"]
    assert [json.loads(webhook.body)["event"] for webhook in webhooks] == events
    final = gallery.api.get(f"{DOCUSIGN}/{envelope['envelopeId']}").json()
    assert final["status"] == "completed"
    assert final == json.loads(webhooks[2].body)["data"]["envelopeSummary"]


def test_docusign_voids_an_envelope_that_is_not_completed(gallery: Gallery, slow_gallery: Gallery) -> None:
    id = slow_gallery.api.post(DOCUSIGN, json=ENVELOPE).json()["envelopeId"]

    voided = slow_gallery.api.put(f"{DOCUSIGN}/{id}", json={"status": "voided", "voidedReason": "a mistake"})

    assert voided.status_code == 200
    last = slow_gallery.events(1, '"event":"envelope-voided"')[0]
    docusign_signature(last)
    assert json.loads(last.body)["data"]["envelopeId"] == id
    assert slow_gallery.api.get(f"{DOCUSIGN}/{id}").json()["status"] == "voided"
    again = slow_gallery.api.put(f"{DOCUSIGN}/{id}", json={"status": "voided", "voidedReason": "again"})
    assert again.json()["errorCode"] == "ENVELOPE_CANNOT_VOID_INVALID_STATE"
    assert gallery.api.post(DOCUSIGN, json={}).status_code == 400


# Messages, money, builds


def test_twilio_sms_by_its_sdk(gallery: Gallery, use_proxy: Callable[[Gallery], None], sut: Receiver) -> None:
    use_proxy(gallery)
    client = twilio.rest.Client("AC" + "0" * 32, "token")
    callback = f"{sut.url}/status?order=17"

    message = client.messages.create(
        to="+14155551212", from_="+18005551212", body="Your parcel: it's here & öpen", status_callback=callback
    )

    assert message.status == "queued"
    webhooks = sut.wait(3)
    validator = RequestValidator("latehook-twilio-auth-token")
    for webhook in webhooks:
        form = dict(parse_qsl(webhook.body.decode(), keep_blank_values=True))
        assert validator.validate(f"{sut.url}{webhook.path}", form, webhook.headers["x-twilio-signature"])
        assert not validator.validate(f"{sut.url}/other", form, webhook.headers["x-twilio-signature"])
        assert (form["MessageSid"], form["To"]) == (message.sid, "+14155551212")
    states = [dict(parse_qsl(webhook.body.decode()))["MessageStatus"] for webhook in webhooks]
    assert states == ["sending", "sent", "delivered"]
    final = client.messages(message.sid).fetch()
    assert (final.status, final.body) == ("delivered", "Your parcel: it's here & öpen")
    with pytest.raises(TwilioRestException) as refused:
        client.messages.create(to="+14155551212", from_="+18005551212")
    with pytest.raises(TwilioRestException) as unknown:
        client.messages("SM0").fetch()
    assert (refused.value.code, unknown.value.code) == (21602, 20404)


def stripe_of(gallery: Gallery, monkeypatch: pytest.MonkeyPatch) -> stripe.StripeClient:
    monkeypatch.setattr(stripe, "ca_bundle_path", gallery.proxy.ca)
    return stripe.StripeClient("sk_test_x", http_client=stripe.RequestsClient(proxy=gallery.proxy.url))


def stripe_events(gallery: Gallery, count: int, about: str) -> list[stripe.Event]:
    return [
        stripe.Webhook.construct_event(webhook.body, webhook.headers["stripe-signature"], "whsec_latehook-stripe")
        for webhook in gallery.events(count, about)
    ]


def test_stripe_payment_and_refund_by_its_sdk(gallery: Gallery, monkeypatch: pytest.MonkeyPatch) -> None:
    client = stripe_of(gallery, monkeypatch)

    paid = client.v1.payment_intents.create(
        {"amount": 2000, "currency": "eur", "confirm": True, "metadata": {"order": "o-17"}},
        {"idempotency_key": "once"},
    )

    again = client.v1.payment_intents.create(
        {"amount": 2000, "currency": "eur", "confirm": True}, {"idempotency_key": "once"}
    )
    assert (paid.status, again.id) == ("processing", paid.id)
    events = stripe_events(gallery, 2, paid.id)
    assert [event.type for event in events] == ["payment_intent.processing", "payment_intent.succeeded"]
    payload = events[1].data.object
    assert (payload["amount"], payload["metadata"]["order"], payload["status"]) == (2000, "o-17", "succeeded")
    assert client.v1.payment_intents.retrieve(paid.id) == payload
    with pytest.raises(stripe.InvalidRequestError, match=r"You cannot cancel .* a status of succeeded"):
        client.v1.payment_intents.cancel(paid.id)

    refund = client.v1.refunds.create({"payment_intent": paid.id, "amount": 500})

    assert (refund.status, refund.amount) == ("pending", 500)
    events = stripe_events(gallery, 2, refund.id)
    assert [event.type for event in events] == ["refund.created", "refund.updated"]
    assert client.v1.refunds.retrieve(refund.id).status == events[1].data.object["status"] == "succeeded"
    assert client.v1.refunds.create({"payment_intent": paid.id}).amount == 2000


def test_stripe_confirms_and_cancels(slow_gallery: Gallery, monkeypatch: pytest.MonkeyPatch) -> None:
    client = stripe_of(slow_gallery, monkeypatch)
    prepared = client.v1.payment_intents.create({"amount": 1, "currency": "eur"})

    confirmed = client.v1.payment_intents.confirm(prepared.id)
    canceled = client.v1.payment_intents.cancel(prepared.id)

    assert [prepared.status, confirmed.status, canceled.status] == ["requires_confirmation", "processing", "canceled"]
    types = {event.type for event in stripe_events(slow_gallery, 3, prepared.id)}
    assert types == {"payment_intent.created", "payment_intent.processing", "payment_intent.canceled"}
    assert client.v1.payment_intents.retrieve(prepared.id).status == "canceled"
    with pytest.raises(stripe.InvalidRequestError, match="Missing required param"):
        client.v1.payment_intents.create({"currency": "eur"})  # type: ignore[typeddict-item]


GITHUB = "https://api.github.com/repos/acme/app/actions"


def test_github_actions_run_is_found_by_its_webhooks(gallery: Gallery) -> None:
    dispatched = gallery.api.post(f"{GITHUB}/workflows/build.yml/dispatches", json={"ref": "feature/o-17"})

    assert (dispatched.status_code, dispatched.content) == (204, b"")
    webhooks = gallery.events(3, "feature/o-17")
    for webhook in webhooks:
        signature = f"sha256={hmac_of(webhook.body, 'latehook-github').hex()}"
        assert (webhook.headers["x-hub-signature-256"], webhook.headers["x-github-event"]) == (
            signature,
            "workflow_run",
        )
    assert [json.loads(webhook.body)["action"] for webhook in webhooks] == ["requested", "in_progress", "completed"]
    payload = json.loads(webhooks[2].body)
    assert payload["repository"] == {"full_name": "acme/app"}
    run = payload["workflow_run"]
    assert (run["status"], run["conclusion"]) == ("completed", "success")
    assert gallery.api.get(run["url"]).json() == run
    listed = gallery.api.get(f"{GITHUB}/runs").json()["workflow_runs"]
    assert {"id": run["id"], "head_branch": "feature/o-17", "status": "completed"} in listed
    assert gallery.api.post(f"{GITHUB}/workflows/build.yml/dispatches", json={}).status_code == 422


def test_github_actions_run_is_canceled(slow_gallery: Gallery) -> None:
    slow_gallery.api.post(f"{GITHUB}/workflows/build.yml/dispatches", json={"ref": "feature/o-18"})
    run = json.loads(slow_gallery.events(1, "feature/o-18")[0].body)["workflow_run"]

    canceled = slow_gallery.api.post(f"{run['url']}/cancel")

    assert canceled.status_code == 202
    wait_until(lambda: slow_gallery.api.get(run["url"]).json()["conclusion"] == "cancelled", "the run is cancelled")
    payload = json.loads(slow_gallery.events(1, '"conclusion":"cancelled"')[0].body)
    assert (payload["action"], payload["workflow_run"]["id"]) == ("completed", run["id"])
    assert slow_gallery.api.post(f"{run['url']}/cancel").status_code == 409


def test_plaid_assets_report_is_fetched_by_its_token(gallery: Gallery, slow_gallery: Gallery, sut: Receiver) -> None:
    plaid = "https://sandbox.plaid.com/asset_report"
    asked = {
        "access_tokens": ["access-sandbox-1"],
        "days_requested": 60,
        "options": {"webhook": f"{sut.url}/plaid", "client_report_id": "r-17"},
    }
    keys = {"client_id": "c", "secret": "s"}

    made = gallery.api.post(f"{plaid}/create", json={**keys, **asked}).json()

    [webhook] = sut.wait(1)
    payload = json.loads(webhook.body)
    assert (payload["webhook_type"], payload["webhook_code"]) == ("ASSETS", "PRODUCT_READY")
    assert payload["asset_report_id"] == made["asset_report_id"]
    # plaid.com/docs/api/webhooks/webhook-verification: the key by its id, the JWT's age, the hash of the body
    jws = webhook.headers["plaid-verification"]
    key_url = "https://sandbox.plaid.com/webhook_verification_key/get"
    key = gallery.api.post(key_url, json={**keys, "key_id": jwt.get_unverified_header(jws)["kid"]}).json()["key"]
    claims = jwt.decode(jws, jwt.PyJWK(key), algorithms=["ES256"])
    assert claims["request_body_sha256"] == hashlib.sha256(webhook.body).hexdigest()
    assert abs(claims["iat"] - webhook.at) < 300
    assert gallery.api.post(key_url, json={"key_id": "x"}).json()["error_code"] == "INVALID_WEBHOOK_VERIFICATION_KEY_ID"
    token = {**keys, "asset_report_token": made["asset_report_token"]}
    report = gallery.api.post(f"{plaid}/get", json=token).json()["report"]
    assert (report["asset_report_id"], report["client_report_id"]) == (made["asset_report_id"], "r-17")
    early = slow_gallery.api.post(f"{plaid}/create", json={**keys, **asked}).json()["asset_report_token"]
    refused = slow_gallery.api.post(f"{plaid}/get", json={**keys, "asset_report_token": early})
    assert (refused.status_code, refused.json()["error_code"]) == (400, "PRODUCT_NOT_READY")
    assert gallery.api.post(f"{plaid}/create", json=keys).json()["error_code"] == "MISSING_FIELDS"
