"""More of the gallery: signatures of people, audio, pictures and videos. test_providers.py says what each test does."""

import base64
import hashlib
import io
import json
from collections.abc import Callable
from email import message_from_bytes
from typing import Any

import fal_client
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from gladiaio_sdk import GladiaClient

from support.gallery import Gallery, hmac_of, poll
from support.receivers import Received, Receiver

# fal.ai


def fal_of(gallery: Gallery, use_proxy: Callable[[Gallery], None]) -> fal_client.SyncClient:
    use_proxy(gallery)
    return fal_client.SyncClient(key="key")


def verify_fal(webhook: Received, gallery: Gallery) -> dict[str, Any]:
    """Verify a webhook as docs.fal.ai (model-endpoints/webhooks) describes it, and return its body."""
    names = ("request-id", "user-id", "timestamp")
    parts = [webhook.headers[f"x-fal-webhook-{name}"] for name in names]
    assert abs(int(parts[2]) - webhook.at) < 300
    signed = "\n".join([*parts, hashlib.sha256(webhook.body).hexdigest()]).encode()
    [key] = gallery.api.get("https://rest.alpha.fal.ai/.well-known/jwks.json").json()["keys"]
    public = Ed25519PublicKey.from_public_bytes(base64.urlsafe_b64decode(key["x"] + "="))
    public.verify(bytes.fromhex(webhook.headers["x-fal-webhook-signature"]), signed)
    body: dict[str, Any] = json.loads(webhook.body)
    return body


def test_fal_makes_a_picture_by_its_sdk(gallery: Gallery, use_proxy: Callable[[Gallery], None], sut: Receiver) -> None:
    client = fal_of(gallery, use_proxy)

    handle = client.submit("fal-ai/flux/dev", {"prompt": "a ship"}, webhook_url=f"{sut.url}/fal?order=17")

    body = verify_fal(sut.wait(1)[0], gallery)
    assert (sut.requests[0].path, body["request_id"], body["status"]) == ("/fal?order=17", handle.request_id, "OK")
    assert body["payload"]["prompt"] == "a ship"
    assert body["payload"]["images"][0]["content_type"] == "image/png"
    assert isinstance(handle.status(), fal_client.Completed)
    assert handle.get() == client.result("fal-ai/flux/dev", handle.request_id) == body["payload"]


def test_fal_tells_that_a_field_is_missing(
    gallery: Gallery, use_proxy: Callable[[Gallery], None], sut: Receiver
) -> None:
    client = fal_of(gallery, use_proxy)

    handle = client.submit("fal-ai/fast-sdxl", {"seed": 1}, webhook_url=f"{sut.url}/fal")

    body = verify_fal(sut.wait(1)[0], gallery)
    assert (body["status"], body["error"]) == ("ERROR", "Invalid status code: 422")
    assert body["payload"]["detail"][0]["loc"] == ["body", "prompt"]
    with pytest.raises(fal_client.FalClientHTTPError) as failed:
        handle.get()
    assert failed.value.status_code == 422


def test_fal_cancels_a_request_that_runs(
    gallery: Gallery, slow_gallery: Gallery, use_proxy: Callable[[Gallery], None], sut: Receiver
) -> None:
    client = fal_of(slow_gallery, use_proxy)
    handle = client.submit("fal-ai/flux/dev", {"prompt": "a ship"}, webhook_url=sut.url)
    assert isinstance(handle.status(), fal_client.Queued | fal_client.InProgress)
    assert slow_gallery.api.get(handle.response_url).status_code == 400

    handle.cancel()

    status = handle.status()
    assert isinstance(status, fal_client.Completed) and status.error == "Request was cancelled"
    again = slow_gallery.api.put(handle.cancel_url)
    assert (again.status_code, again.json()) == (400, {"status": "ALREADY_COMPLETED"})
    unknown = gallery.api.get("https://queue.fal.run/fal-ai/flux/requests/nobody/status")
    assert (unknown.status_code, sut.requests) == (404, [])


# Gladia


@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_gladia_calls_back_with_the_whole_result_by_its_sdk(
    gallery: Gallery, use_proxy: Callable[[Gallery], None], sut: Receiver, method: str
) -> None:
    use_proxy(gallery)
    client = GladiaClient(api_key="key").pre_recorded_v2()
    audio = client.upload_file(io.BytesIO(b"RIFF" * 1000))

    job = client.create(
        {
            "audio_url": audio.audio_url,
            "callback": True,
            "callback_config": {"url": f"{sut.url}/gladia", "method": method},
            "custom_metadata": {"order": "17"},
        }
    )

    assert audio.audio_metadata.size == 4000
    assert job.result_url.endswith(f"/v2/pre-recorded/{job.id}")
    [webhook] = sut.wait(1)
    body = json.loads(webhook.body)
    assert (webhook.method, webhook.path, body["event"]) == (method, "/gladia", "transcription.success")
    assert (body["id"], body["custom_metadata"]) == (job.id, {"order": "17"})
    done = client.poll(job.id, interval=0.05)
    assert (done.status, done.custom_metadata) == ("done", {"order": "17"})
    assert done.file and done.file.source == audio.audio_url
    assert done.result and done.result.transcription
    assert done.result.transcription.full_transcript == body["payload"]["transcription"]["full_transcript"]
    assert done.result.transcription.utterances[0].words[0].word == "Split"
    assert client.delete(job.id) is True
    gone = gallery.api.get(job.result_url, headers={"x-gladia-key": "key"})
    assert gone.status_code == 404


def test_gladia_refuses_what_has_no_audio_or_no_key(slow_gallery: Gallery) -> None:
    jobs, key = "https://api.gladia.io/v2/pre-recorded", {"x-gladia-key": "key"}

    refused = slow_gallery.api.post(jobs, json={"callback": True}, headers=key)
    accepted = slow_gallery.api.post(jobs, json={"audio_url": "https://storage.example/a.mp3"}, headers=key)

    assert (refused.status_code, refused.json()["statusCode"]) == (400, 400)
    running = poll(lambda: slow_gallery.api.get(accepted.json()["result_url"], headers=key).json(), "processing")
    assert (running["result"], running["completed_at"]) == (None, None)
    assert slow_gallery.api.post(jobs, json={"audio_url": "https://storage.example/a.mp3"}).status_code == 401


# Creatomate

CREATOMATE = "https://api.creatomate.com"


def test_creatomate_renders_a_template(gallery: Gallery, sut: Receiver) -> None:
    wanted = {
        "template_id": "9e90d011-52e6-49dc-8a7a-5f25058c2568",
        "modifications": {"Title": "Hello ü"},
        "webhook_url": f"{sut.url}/rendered",
        "metadata": "order-17",
    }

    planned = gallery.api.post(f"{CREATOMATE}/v2/renders", json=wanted, headers={"authorization": "Bearer key"})

    render = planned.json()
    assert (planned.status_code, render["status"], render["file_size"]) == (202, "planned", None)
    [webhook] = sut.wait(1)
    body = json.loads(webhook.body)
    assert (webhook.path, body["id"], body["status"]) == ("/rendered", render["id"], "succeeded")
    assert {name: body[name] for name in wanted} == wanted
    assert body["url"] == render["url"] == f"https://cdn.creatomate.com/renders/{render['id']}.mp4"
    assert gallery.api.get(f"{CREATOMATE}/v2/renders/{render['id']}").json() == body


def test_creatomate_v1_gives_a_list_and_calls_the_projects_url(gallery: Gallery, slow_gallery: Gallery) -> None:
    renders = f"{CREATOMATE}/v1/renders"
    source = {"source": {"elements": [{"type": "text", "text": "Hi"}]}, "output_format": "gif"}

    [render] = gallery.api.post(renders, json=source).json()

    body = json.loads(gallery.events(1, render["id"])[0].body)
    assert (body["status"], body["output_format"], body["template_id"]) == ("succeeded", "gif", None)
    [early] = slow_gallery.api.post(renders, json=source).json()
    assert poll(lambda: slow_gallery.api.get(f"{renders}/{early['id']}").json(), "rendering")["duration"] is None
    assert gallery.api.post(renders, json={"output_format": "gif"}).status_code == 400
    assert gallery.api.get(f"{renders}/nobody").status_code == 404


# Dropbox Sign

SIGN = "https://api.hellosign.com/v3/signature_request"
ASKED = {
    "title": "NDA with Acme Co.",
    "subject": "The NDA we talked about",
    "signers[0][email_address]": "jack@app.example",
    "signers[0][name]": "Jack",
    "signers[1][email_address]": "jill@app.example",
    "signers[1][name]": "Jill",
    "metadata[order]": "o-17",
    "test_mode": "1",
}


def dropbox_sign_event(webhook: Received) -> dict[str, Any]:
    """Verify an event as event_callback_helper.py of dropbox-sign-python does, and return it."""
    head = f"content-type: {webhook.headers['content-type']}\r\n\r\n".encode()
    [field] = message_from_bytes(head + webhook.body).get_payload()  # type: ignore[misc]
    assert field.get_param("name", header="content-disposition") == "json"  # type: ignore[union-attr]
    callback: dict[str, Any] = json.loads(field.get_payload(decode=True))  # type: ignore[union-attr, arg-type]
    event = callback["event"]
    signed = f"{event['event_time']}{event['event_type']}".encode()
    assert event["event_hash"] == hmac_of(signed, "latehook-dropbox-sign-api-key").hex()
    return callback


def test_dropbox_sign_tells_each_step_of_a_signature_request(gallery: Gallery) -> None:
    files = {"files[0]": ("nda.pdf", b"%PDF-1.7", "application/pdf")}

    made = gallery.api.post(f"{SIGN}/send", data=ASKED, files=files, auth=("key", "")).json()["signature_request"]

    assert (made["title"], made["metadata"], made["test_mode"]) == (ASKED["title"], {"order": "o-17"}, True)
    assert [one["status_code"] for one in made["signatures"]] == ["awaiting_signature"] * 2
    callbacks = [dropbox_sign_event(each) for each in gallery.events(6, made["signature_request_id"])]
    told = [
        (callback["event"]["event_type"], callback["event"]["event_metadata"]["related_signature_id"])
        for callback in callbacks
    ]
    jack, jill = (one["signature_id"] for one in made["signatures"])
    assert told[0] == ("signature_request_sent", None) and told[5] == ("signature_request_all_signed", None)
    viewed, signed = "signature_request_viewed", "signature_request_signed"
    assert sorted(told[1:5], key=str) == sorted(
        [(viewed, jack), (viewed, jill), (signed, jack), (signed, jill)], key=str
    )
    final = callbacks[5]["signature_request"]
    assert (final["is_complete"], {one["status_code"] for one in final["signatures"]}) == (True, {"signed"})
    assert gallery.api.get(f"{SIGN}/{made['signature_request_id']}").json() == {"signature_request": final}


def test_dropbox_sign_reminds_and_cancels(gallery: Gallery, slow_gallery: Gallery) -> None:
    wanted = {
        "signers": [{"email_address": "a@app.example", "name": "A"}],
        "file_urls": ["https://storage.example/a.pdf"],
    }
    request = slow_gallery.api.post(f"{SIGN}/send", json=wanted).json()["signature_request"]
    id = request["signature_request_id"]

    slow_gallery.api.post(f"{SIGN}/remind/{id}", json={"email_address": "a@app.example"}).raise_for_status()
    canceled = slow_gallery.api.post(f"{SIGN}/cancel/{id}")

    assert (canceled.status_code, canceled.content) == (200, b"")
    for kind in ("remind", "canceled"):
        [event] = slow_gallery.events(1, f"signature_request_{kind}")
        told = dropbox_sign_event(event)["signature_request"]
        assert (told["signature_request_id"], told["is_complete"]) == (id, False)
    assert slow_gallery.api.post(f"{SIGN}/cancel/{id}").json()["error"]["error_name"] == "bad_request"
    assert gallery.api.post(f"{SIGN}/send", json={"title": "NDA"}).json()["error"]["error_path"] == "signers"
    assert gallery.api.get(f"{SIGN}/nobody").json()["error"]["error_name"] == "not_found"
    form = {"signers": json.dumps(wanted["signers"]), "file_urls": "https://storage.example/a.pdf"}  # as the SDKs do
    by_form = slow_gallery.api.post(f"{SIGN}/send", files={name: (None, text) for name, text in form.items()})
    assert by_form.json()["signature_request"]["signatures"][0]["signer_name"] == "A"
