"""Providers of the gallery that read what a receiver answers: fallback URLs, confirmations, challenges."""

import base64
import json
from collections.abc import Callable
from urllib.parse import parse_qsl
from uuid import uuid4

import pytest
import twilio.rest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from lxml import etree
from twilio.base.exceptions import TwilioRestException
from twilio.request_validator import RequestValidator

from support.gallery import Gallery, hmac_of
from support.receivers import Handler, Receiver, answer
from support.waiting import wait_until


def test_twilio_voice_asks_the_fallback_url_if_the_url_fails(
    gallery: Gallery, use_proxy: Callable[[Gallery], None], sut: Receiver
) -> None:
    def behave(handler: Handler, number: int) -> None:
        answer(500 if handler.path == "/twiml" else 200)(handler, number)

    use_proxy(gallery)
    sut.behave = behave
    client = twilio.rest.Client("AC" + "0" * 32, "token")

    call = client.calls.create(
        to="+14155551212",
        from_="+18005551212",
        url=f"{sut.url}/twiml",
        fallback_url=f"{sut.url}/fallback",
        status_callback=f"{sut.url}/status",
        status_callback_event=["ringing", "completed"],
    )

    asked = sut.wait(4)
    assert call.status == "queued"
    assert [request.path for request in asked] == ["/status", "/twiml", "/fallback", "/status"]
    forms = [dict(parse_qsl(request.body.decode(), keep_blank_values=True)) for request in asked]
    validator = RequestValidator("latehook-twilio-auth-token")
    for request, form in zip(asked, forms, strict=True):
        assert validator.validate(f"{sut.url}{request.path}", form, request.headers["x-twilio-signature"])
        assert form["CallSid"] == call.sid
    assert [form["CallStatus"] for form in forms] == ["ringing", "in-progress", "in-progress", "completed"]
    assert (forms[2]["ErrorUrl"], forms[2]["ErrorCode"]) == (f"{sut.url}/twiml", "11200")
    assert client.calls(call.sid).fetch().status == "completed"
    with pytest.raises(TwilioRestException, match="Url parameter is required"):
        client.calls.create(to="+14155551212", from_="+18005551212")


SNS = "{http://sns.amazonaws.com/doc/2010-03-31/}"


def verify_sns(message: dict[str, str], gallery: Gallery) -> None:
    """Verify a message as the documentation of Amazon SNS describes it, with the certificate that it names."""
    names = ["Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"]
    if message["Type"] == "Notification":
        names = [
            "Message",
            "MessageId",
            *(["Subject"] if message.get("Subject") else []),
            "Timestamp",
            "TopicArn",
            "Type",
        ]
    text = "".join(f"{name}\n{message[name]}\n" for name in names)
    key = x509.load_pem_x509_certificate(gallery.api.get(message["SigningCertURL"]).content).public_key()
    assert isinstance(key, rsa.RSAPublicKey) and message["SignatureVersion"] == "2"
    key.verify(base64.b64decode(message["Signature"]), text.encode(), padding.PKCS1v15(), hashes.SHA256())


def test_aws_sns_sends_to_endpoints_that_have_confirmed(gallery: Gallery, sut: Receiver) -> None:
    def sns(**form: str) -> etree._Element:
        return etree.fromstring(gallery.api.post("https://sns.us-east-1.amazonaws.com/", data=form).content)

    topic = sns(Action="CreateTopic", Name=f"orders-{uuid4().hex}").findtext(f".//{SNS}TopicArn") or ""
    publish = {"Action": "Publish", "TopicArn": topic, "Message": "Hello ü", "Subject": "Order"}
    subscribe = {"Action": "Subscribe", "TopicArn": topic, "Protocol": "http"}

    subscribed = sns(**subscribe, Endpoint=f"{sut.url}/sns")
    sns(**subscribe, Endpoint=f"{sut.url}/never-confirmed")
    assert subscribed.findtext(f".//{SNS}SubscriptionArn") == "pending confirmation"
    confirmations = {got.path: json.loads(got.body) for got in sut.wait(2)}
    sns(**publish)
    for message in confirmations.values():
        verify_sns(message, gallery)
    confirmed = etree.fromstring(gallery.api.get(confirmations["/sns"]["SubscribeURL"]).content)
    sns(**{**publish, "Message": "second"})

    notification = sut.wait(3)[2]
    message = json.loads(notification.body)
    verify_sns(message, gallery)
    assert (notification.path, message["Message"], message["Subject"]) == ("/sns", "second", "Order")
    assert notification.headers["x-amz-sns-message-type"] == "Notification"
    arn = confirmed.findtext(f".//{SNS}SubscriptionArn") or ""
    assert arn.startswith(f"{topic}:") and message["UnsubscribeURL"].endswith(arn)
    gallery.api.get(message["UnsubscribeURL"])
    unheard = sns(**{**publish, "Message": "third"}).findtext(f".//{SNS}MessageId")
    assert unheard and len(sut.requests) == 3
    assert sns(Action="Publish").findtext(f".//{SNS}Code") == "InvalidParameter"


def test_dropbox_notifies_an_endpoint_that_echoes_its_challenge(gallery: Gallery) -> None:
    upload, changes = "https://content.dropboxapi.com/2/files/upload", "https://api.dropboxapi.com/2/files/list_folder"
    hook = gallery.registered
    cursor = gallery.api.post(f"{changes}/get_latest_cursor", json={"path": ""}).json()["cursor"]

    def put(path: str) -> dict[str, str]:
        headers = {"dropbox-api-arg": json.dumps({"path": path}), "content-type": "application/octet-stream"}
        file: dict[str, str] = gallery.api.post(upload, data=b"content", headers=headers).json()
        return file

    def challenges() -> list[str]:
        return [got.query["challenge"] for got in list(hook.requests) if "challenge" in got.query]

    refused = put("/a/First.txt")  # the receiver answers "ok", which is not the challenge
    wait_until(lambda: len(challenges()) == 1, "the endpoint is asked")
    hook.behave = lambda handler, number: answer(200, handler.path.partition("challenge=")[2].encode())(handler, number)
    file = put("/a/Second.txt")
    [notified] = gallery.events(1, "list_folder")
    third = put("/a/Third.txt")
    gallery.events(2, "list_folder")
    hook.behave = answer()

    assert len(challenges()) == 2
    assert notified.headers["x-dropbox-signature"] == hmac_of(notified.body, "latehook-dropbox-app-secret").hex()
    listed = gallery.api.post(f"{changes}/continue", json={"cursor": cursor}).json()
    assert listed["entries"] == [refused, file, third]
    assert (file["name"], file["path_lower"], file["size"]) == ("Second.txt", "/a/second.txt", 7)
    assert gallery.api.post(f"{changes}/continue", json={"cursor": listed["cursor"]}).json()["entries"] == []
