"""Registrations of the gallery: a webhook's URL is checked before it is accepted, as each provider documents it."""

import base64
import hmac
import json
import ssl
from collections.abc import Callable
from typing import Any

import pytest
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError
from slack_sdk.signature import SignatureVerifier

from support.gallery import Gallery, hmac_of
from support.receivers import Behave, Handler, Received, Receiver, answer

GRAPH = "https://graph.microsoft.com/v1.0/subscriptions"


def answering(reply: Callable[[Received], str], content_type: str = "text/plain") -> Behave:
    """Answer each request with what `reply` makes of it."""

    def behave(handler: Handler, number: int) -> None:
        body = reply(handler.server.requests[number]).encode()
        answer(200, body, content_type=content_type)(handler, number)

    return behave


def echo_token(received: Received) -> str:
    """Return what a consumer of Microsoft Graph answers: the decoded token, or nothing to a notification."""
    return received.query.get("validationToken", "")


def test_microsoft_graph_notifies_a_url_that_has_echoed_its_token(gallery: Gallery, sut: Receiver) -> None:
    sut.behave = answering(echo_token)
    wanted = {
        "changeType": "created,updated",
        "notificationUrl": f"{sut.url}/notify?tenant=a",
        "lifecycleNotificationUrl": f"{sut.url}/lifecycle",
        "resource": "me/mailFolders('Inbox')/messages",
        "expirationDateTime": "2027-03-20T11:00:00.0000000Z",
        "clientState": "a secret of the client",
    }

    made = gallery.api.post(GRAPH, json=wanted)

    subscription = made.json()
    assert made.status_code == 201
    assert {name: subscription[name] for name in wanted} == wanted
    *validations, one, other = sut.wait(4)
    assert [(each.method, each.path.partition("?")[0], each.body) for each in validations] == [
        ("POST", "/notify", b""),
        ("POST", "/lifecycle", b""),
    ]
    assert validations[0].headers["content-type"] == "text/plain; charset=utf-8"
    assert validations[0].query.keys() == {"tenant", "validationToken"}
    changes = set()  # both are sent at one moment
    for notification in (one, other):
        [value] = json.loads(notification.body)["value"]
        changes.add(value["changeType"])
        assert (value["subscriptionId"], value["clientState"]) == (subscription["id"], wanted["clientState"])
        assert notification.query == {"tenant": "a"}
    assert changes == {"created", "updated"}
    url = f"{GRAPH}/{subscription['id']}"
    assert gallery.api.get(url).json() == subscription
    renewed = gallery.api.patch(url, json={"expirationDateTime": "2027-04-01T00:00:00Z"}).json()
    assert renewed == {**subscription, "expirationDateTime": "2027-04-01T00:00:00Z"}
    assert gallery.api.delete(url).status_code == 204
    assert gallery.api.get(url).status_code == 404


@pytest.mark.parametrize(
    "behave",
    [answer(500), answer(200, b"hello", content_type="text/plain"), answering(echo_token, "text/html")],
    ids=["an error", "another text", "another type"],
)
def test_microsoft_graph_refuses_a_url_that_does_not_echo(gallery: Gallery, sut: Receiver, behave: Behave) -> None:
    sut.behave = behave
    wanted = {"changeType": "created", "notificationUrl": f"{sut.url}/refused", "resource": "me/events"}

    refused = gallery.api.post(GRAPH, json=wanted)

    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "ValidationError")
    assert len(sut.requests) == 1


def slack_consumer(verifier: SignatureVerifier) -> Callable[[Received], str]:
    """Return what an app answers to a request of Slack whose signature it has verified."""

    def reply(received: Received) -> str:
        body = json.loads(received.body)
        assert verifier.is_valid_request(received.body, received.headers)
        return str(body["challenge"]) if body["type"] == "url_verification" else ""

    return reply


def manifest(url: str) -> dict[str, Any]:
    events = {"request_url": url, "bot_events": ["message.channels"]}
    return {"display_information": {"name": "An app"}, "settings": {"event_subscriptions": events}}


def test_slack_events_reach_an_app_whose_url_gives_the_challenge_back(gallery: Gallery, sut: Receiver) -> None:
    client = WebClient(
        "xoxb-token", proxy=gallery.proxy.url, ssl=ssl.create_default_context(cafile=gallery.proxy.ca), timeout=30
    )
    verifier = SignatureVerifier("latehook-slack-signing-secret")
    sut.behave = answer(200, b"not the challenge")
    with pytest.raises(SlackApiError) as refused:
        client.apps_manifest_create(manifest=manifest(f"{sut.url}/slack"))
    assert refused.value.response["errors"][0]["pointer"] == "/settings/event_subscriptions/request_url"
    sut.behave = answering(slack_consumer(verifier))

    app = client.apps_manifest_create(manifest=manifest(f"{sut.url}/slack"))

    assert app["credentials"]["signing_secret"] == "latehook-slack-signing-secret"
    sut.behave = answer(500)
    posted = client.chat_postMessage(channel="C123ABC456", text="Live long and prosper.")
    first, second = sut.wait(4)[2:4]
    for event in (first, second):
        assert verifier.is_valid_request(event.body, event.headers)
        inner = json.loads(event.body)["event"]
        assert (inner["type"], inner["ts"], inner["text"]) == ("message", posted["ts"], "Live long and prosper.")
    assert "x-slack-retry-num" not in first.headers
    assert (second.headers["x-slack-retry-num"], second.headers["x-slack-retry-reason"]) == ("1", "http_error")
    assert first.body == second.body


ZOOM = "https://api.zoom.us/v2"
ZOOM_SECRET = "latehook-zoom-secret-token"


def zoom_consumer(secret: str) -> Callable[[Received], str]:
    """Return what an endpoint answers, as Zoom's sample of a webhook in Node does."""

    def reply(received: Received) -> str:
        token = json.loads(received.body)["payload"].get("plainToken", "")
        return json.dumps({"plainToken": token, "encryptedToken": hmac_of(token.encode(), secret).hex()})

    return reply


def test_zoom_sends_events_to_a_url_that_knows_the_secret(gallery: Gallery, sut: Receiver) -> None:
    subscriptions = f"{ZOOM}/marketplace/app/event_subscription"
    wanted = {"events": ["meeting.started"], "event_webhook_url": f"{sut.url}/zoom"}
    sut.behave = answering(zoom_consumer("another secret"), "application/json")
    assert gallery.api.post(subscriptions, json=wanted).status_code == 400
    sut.behave = answering(zoom_consumer(ZOOM_SECRET), "application/json")

    subscribed = gallery.api.post(subscriptions, json=wanted)
    meeting = gallery.api.post(f"{ZOOM}/users/me/meetings", json={"topic": "Weekly", "type": 2}).json()

    assert (subscribed.status_code, meeting["status"]) == (201, "waiting")
    events = sut.wait(5)[2:]
    for event in events:
        signed = f"v0:{event.headers['x-zm-request-timestamp']}:".encode() + event.body
        assert hmac.compare_digest(event.headers["x-zm-signature"], f"v0={hmac_of(signed, ZOOM_SECRET).hex()}")
    bodies = [json.loads(event.body) for event in events]
    assert [body["event"] for body in bodies] == ["meeting.started", "meeting.ended", "recording.completed"]
    assert {body["payload"]["object"]["uuid"] for body in bodies} == {meeting["uuid"]}
    times = [body["event_ts"] for body in bodies]
    assert times[1] - times[0] >= 60_000 and times[2] - times[1] >= 30_000
    assert gallery.api.get(f"{ZOOM}/meetings/{meeting['id']}").json()["status"] == "recorded"
    id = subscribed.json()["event_subscription_id"]
    assert gallery.api.delete(f"{subscriptions}/{id}").status_code == 204


X = "https://api.x.com/2"
X_SECRET = "latehook-x-consumer-secret"
X_USER = {"authorization": 'OAuth oauth_consumer_key="key", oauth_token="370773112-GmHxMAgYyLbN", oauth_version="1.0"'}


def x_signature(message: bytes, secret: str = X_SECRET) -> str:
    """Return what docs.x.com (x-api/webhooks/quickstart) computes for a CRC and for the body of an event."""
    return "sha256=" + base64.b64encode(hmac_of(message, secret)).decode()


def x_consumer(secret: str) -> Callable[[Received], str]:
    """Return what a webhook answers: the response token to a CRC, nothing to an event."""

    def reply(received: Received) -> str:
        token = received.query.get("crc_token", "").encode()
        return json.dumps({"response_token": x_signature(token, secret)}) if token else ""

    return reply


def test_x_account_activity_reaches_a_webhook_that_answers_the_crc(gallery: Gallery, sut: Receiver) -> None:
    api, hook = gallery.api, {"url": f"{sut.url}/webhooks/twitter"}
    sut.behave = answering(x_consumer("another secret"), "application/json")
    refused = api.post(f"{X}/webhooks", json=hook)
    assert (refused.status_code, refused.json()["title"]) == (400, "Invalid Request")
    assert refused.json()["errors"][0]["message"].startswith("CrcValidationFailed")
    sut.behave = answering(x_consumer(X_SECRET), "application/json")

    webhook = api.post(f"{X}/webhooks", json=hook).json()["data"]
    events = f"{X}/account_activity/webhooks/{webhook['id']}/subscriptions"
    subscribed = api.post(f"{events}/all", headers=X_USER).json()
    post = api.post(f"{X}/tweets", headers=X_USER, json={"text": "Hello ü"}).json()["data"]
    api.post(f"{X}/dm_conversations/with/370773112/messages", json={"text": "Hi"})  # from a user without a subscription

    assert (webhook["url"], webhook["valid"], subscribed) == (hook["url"], True, {"data": {"subscribed": True}})
    crcs, told = sut.wait(4)[:2], sut.wait(4)[2:]
    assert {(crc.method, *crc.query) for crc in crcs} == {("GET", "crc_token")}
    assert [event.headers["x-twitter-webhooks-signature"] for event in told] == [x_signature(e.body) for e in told]
    bodies = {kind: body for event in told for kind, body in json.loads(event.body).items()}
    assert bodies.keys() == {"for_user_id", "tweet_create_events", "direct_message_events"}
    assert bodies["for_user_id"] == "370773112"
    assert (bodies["tweet_create_events"][0]["id_str"], bodies["tweet_create_events"][0]["text"]) == (
        post["id"],
        "Hello ü",
    )
    assert bodies["direct_message_events"][0]["message_create"]["target"] == {"recipient_id": "370773112"}
    assert api.post(f"{X}/webhooks", json=hook).json()["errors"][0]["message"].startswith("DuplicateUrlFailed")
    assert api.post(f"{events}/all", headers=X_USER).status_code == 400

    sut.behave = answer(500)
    assert api.put(f"{X}/webhooks/{webhook['id']}").status_code == 400
    assert webhook in api.get(f"{X}/webhooks").json()["data"]  # an error of the receiver leaves it valid
    sut.behave = answer(200, b"{}")
    api.put(f"{X}/webhooks/{webhook['id']}")
    assert {**webhook, "valid": False} in api.get(f"{X}/webhooks").json()["data"]
    sut.behave = answering(x_consumer(X_SECRET), "application/json")
    assert api.put(f"{X}/webhooks/{webhook['id']}").json() == {"data": {"valid": True}}
    assert api.delete(f"{events}/370773112/all").json() == {"data": {"subscribed": False}}
    assert api.get(f"{events}/all", headers=X_USER).json() == {"data": {"subscribed": False}}
    assert api.delete(f"{X}/webhooks/{webhook['id']}").json() == {"data": {"deleted": True}}
    assert api.post(f"{events}/all", headers=X_USER).json()["errors"][0]["message"].startswith("WebhookIdInvalid")
