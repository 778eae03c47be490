"""Messages of the gallery, and events of networks and models: by SDKs where there are some, else as documented."""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable

import pytest
import standardwebhooks
from cloudevents.v1.http import from_http
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519
from jwt import decode
from sendgrid import SendGridAPIClient
from sendgrid.helpers.eventwebhook import EventWebhook
from sendgrid.helpers.mail import Mail
from vonage_http_client import Auth, HttpClient
from vonage_jwt import verify_signature
from vonage_messages import Messages, Sms

from support.gallery import Gallery, hmac_of, public_key
from support.receivers import Receiver


def test_telnyx_messages_are_sent_and_delivered_with_an_ed25519_signature(gallery: Gallery, sut: Receiver) -> None:
    messages = "https://api.telnyx.com/v2/messages"
    wanted = {"from": "+13125550001", "to": "+13125550002", "text": "Hello ü", "webhook_url": f"{sut.url}/telnyx"}

    message = gallery.api.post(messages, json=wanted).json()["data"]

    assert message["to"][0]["status"] == "queued"
    key = public_key("telnyx-messages", "telnyx_key")
    assert isinstance(key, ed25519.Ed25519PublicKey)
    events = sut.wait(2)
    for event in events:  # as telnyx-python, resources/webhooks.py, verifies it
        signed = f"{event.headers['telnyx-timestamp']}|".encode() + event.body
        key.verify(base64.b64decode(event.headers["telnyx-signature-ed25519"]), signed)
    data = [json.loads(event.body)["data"] for event in events]
    assert [each["event_type"] for each in data] == ["message.sent", "message.finalized"]
    assert [each["payload"]["to"][0]["status"] for each in data] == ["sent", "delivered"]
    assert {each["payload"]["id"] for each in data} == {message["id"]}
    assert gallery.api.get(f"{messages}/{message['id']}").json()["data"]["to"][0]["status"] == "delivered"
    assert gallery.api.post(messages, json={}).status_code == 422


def test_vonage_messages_by_its_sdk(gallery: Gallery, use_proxy: Callable[[Gallery], None], sut: Receiver) -> None:
    use_proxy(gallery)
    client = Messages(HttpClient(Auth(api_key="abcd1234", api_secret="secret")))

    sent = client.send(
        Sms(to="447700900000", from_="447700900001", text="Hello", client_ref="17", webhook_url=f"{sut.url}/vonage")
    )

    statuses = sut.wait(2)
    for status in statuses:
        token = status.headers["authorization"].removeprefix("Bearer ")
        assert verify_signature(token, "latehook-vonage-signature-secret-0123456789")
        assert not verify_signature(token, "another-secret-another-secret-another-secret")
        claims = decode(token, options={"verify_signature": False})
        assert claims["payload_hash"] == hashlib.sha256(status.body).hexdigest()
        assert claims["api_key"] == "abcd1234"
    bodies = [json.loads(status.body) for status in statuses]
    assert [(body["message_uuid"], body["status"], body["client_ref"]) for body in bodies] == [
        (sent.message_uuid, "submitted", "17"),
        (sent.message_uuid, "delivered", "17"),
    ]


def test_mailgun_signs_in_the_body(gallery: Gallery) -> None:
    messages = "https://api.mailgun.net/v3/mg.example/messages"
    mail = {"from": "a@mg.example", "to": "b@app.example", "subject": "Hello", "text": "Hi", "o:tag": ["x", "y"]}

    sent = gallery.api.post(messages, data=mail, auth=("api", "key")).json()

    assert sent["message"] == "Queued. Thank you."
    events = gallery.events(2, sent["id"].strip("<>"))
    for event in events:  # documentation.mailgun.com, Securing webhooks
        signature = json.loads(event.body)["signature"]
        signed = f"{signature['timestamp']}{signature['token']}".encode()
        assert hmac.compare_digest(hmac_of(signed, "latehook-mailgun-signing-key").hex(), signature["signature"])
    data = [json.loads(event.body)["event-data"] for event in events]
    assert [each["event"] for each in data] == ["accepted", "delivered"]
    assert data[1]["tags"] == ["x", "y"]
    assert gallery.api.post(messages, data={"from": "a@mg.example"}).status_code == 400


def test_sendgrid_mail_by_its_sdk(gallery: Gallery, use_proxy: Callable[[Gallery], None]) -> None:
    use_proxy(gallery)
    mail = Mail("a@shop.example", ["b@app.example", "c@app.example"], "Hello", "Hi", is_multiple=True)

    sent = SendGridAPIClient("key").send(mail)

    assert sent.status_code == 202
    events = gallery.events(2, sent.headers["x-message-id"])
    der, form = serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    key = base64.b64encode(public_key("sendgrid-mail", "sendgrid_key").public_bytes(der, form)).decode()
    for event in events:
        signature = event.headers["x-twilio-email-event-webhook-signature"]
        timestamp = event.headers["x-twilio-email-event-webhook-timestamp"]
        assert EventWebhook(key).verify_signature(event.body.decode(), signature, timestamp)
        assert not EventWebhook(key).verify_signature(event.body.decode() + " ", signature, timestamp)
    told = [sorted((each["email"], each["event"]) for each in json.loads(event.body)) for event in events]
    assert told == [
        [("b@app.example", "processed"), ("c@app.example", "processed")],
        [("b@app.example", "delivered"), ("c@app.example", "delivered")],
    ]


def test_camara_qod_sends_cloudevents_to_the_sink(gallery: Gallery, sut: Receiver) -> None:
    sessions = "https://operator.example/quality-on-demand/v1/sessions"
    wanted = {
        "device": {"phoneNumber": "+123456789"},
        "applicationServer": {"ipv4Address": "198.51.100.0/24"},
        "qosProfile": "QOS_L",
        "duration": 3600,
        "sink": f"{sut.url}/sink",
        "sinkCredential": {"credentialType": "ACCESSTOKEN", "accessToken": "t0ken", "accessTokenType": "bearer"},
    }

    session = gallery.api.post(sessions, json=wanted).json()
    assert session["qosStatus"] == "REQUESTED"
    sut.wait(1)
    assert gallery.api.get(f"{sessions}/{session['sessionId']}").json()["qosStatus"] == "AVAILABLE"
    assert gallery.api.delete(f"{sessions}/{session['sessionId']}").status_code == 204

    notified = sut.wait(2)
    assert {each.headers["authorization"] for each in notified} == {"Bearer t0ken"}
    events = [from_http(each.headers, each.body) for each in notified]
    assert {event["type"] for event in events} == {"org.camaraproject.quality-on-demand.v1.qos-status-changed"}
    assert [event.data for event in events] == [
        {"sessionId": session["sessionId"], "qosStatus": "AVAILABLE"},
        {"sessionId": session["sessionId"], "qosStatus": "UNAVAILABLE", "statusInfo": "DELETE_REQUESTED"},
    ]
    assert events[0]["source"] == f"{sessions}/{session['sessionId']}"
    assert gallery.api.get(f"{sessions}/{session['sessionId']}").status_code == 404
    assert gallery.api.post(sessions, json={}).json()["code"] == "INVALID_ARGUMENT"


def test_openai_responses_in_the_background(gallery: Gallery, slow_gallery: Gallery) -> None:
    responses = "https://api.openai.com/v1/responses"
    wanted = {"model": "gpt-5", "input": "Hello", "background": True}

    response = gallery.api.post(responses, json=wanted).json()

    assert (response["status"], response["output"]) == ("queued", [])
    [webhook] = gallery.events(1, response["id"])
    event = standardwebhooks.Webhook("whsec_bGF0ZWhvb2stb3BlbmFpLXJlc3BvbnNlcw==").verify(
        webhook.body.decode(), webhook.headers
    )
    assert (event["type"], event["data"]) == ("response.completed", {"id": response["id"]})
    done = gallery.api.get(f"{responses}/{response['id']}").json()
    assert done["output"][0]["content"][0]["text"] == "Hello from Latehook."
    assert gallery.api.post(f"{responses}/{response['id']}/cancel").status_code == 400
    running = slow_gallery.api.post(responses, json=wanted).json()
    assert slow_gallery.api.post(f"{responses}/{running['id']}/cancel").json()["status"] == "cancelled"
    with pytest.raises(KeyError):
        gallery.api.post(responses, json={"model": "gpt-5", "input": "Hello"}).json()["id"]
