"""Signatures that providers have published, with their secrets and messages."""

import base64
import json
from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from latehook.base.json_text import encode_json
from latehook.webhooks.schemes import SCHEMES, Scheme
from support.signing import FORM, SENDGRID_BODY, TEXT, TWILIO_FORM, TWILIO_URL, header, scheme, signed

SLACK_BODY = (
    b"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V"
    b"&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text="
    b"&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN"
    b"&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c"
)
SQUARE_BODY = (
    b'{"merchant_id":"MLEFBHHSJGVHD","type":"webhooks.test_notification",'
    b'"event_id":"ac3ac95b-f97d-458c-a6e6-18981597e05f","created_at":"2022-07-13T20:30:59.037339943Z",'
    b'"data":{"type":"webhooks","id":"bc368e64-01aa-407e-b46e-3231809b1129"}}'
)
MESSAGEBIRD = (
    "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJpc3MiOiJNZXNzYWdlQmlyZCIsIm5iZiI6MTYyNTQ3OTIwMCwiZXhwIjoxNjI1NDc5Mj"
    "YwLCJqdGkiOiI1OWEyNDRkYy1lOWFkLTRlMjMtOTc3OC0zNzFmYWEyMzhmNzIiLCJ1cmxfaGFzaCI6IjBmMTE1ZGIwNjJiN2MwZGQwMzBi"
    "MTY4NzhjOTlkZWE1YzM1NGI0OWRjMzdiMzhlYjg4NDYxNzljNzc4M2U5ZDcifQ.6Fp0rVOsRr1fj9S2GidXAfkmPVofKr8_RTffC6G6r2E"
)


@pytest.mark.parametrize(
    ("preset", "secret", "name", "expected", "message"),
    [
        pytest.param(  # standard-webhooks/standard-webhooks, libraries/python/tests/test_webhooks.py
            "standard-webhooks",
            "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            "webhook-signature",
            "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
            {"id": "msg_p5jXN8AQM9LWM0D4loKWxJek", "timestamp": 1614265330, "body": b'{"test": 2432232314}'},
            id="standard-webhooks",
        ),
        pytest.param(
            "svix",
            "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            "svix-signature",
            "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
            {"id": "msg_p5jXN8AQM9LWM0D4loKWxJek", "timestamp": 1614265330, "body": b'{"test": 2432232314}'},
            id="svix",
        ),
        pytest.param(  # GitHub's documentation, "Validating webhook deliveries"
            "github",
            "It's a Secret to Everybody",
            "x-hub-signature-256",
            "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17",
            {"body": b"Hello, World!"},
            id="github",
        ),
        pytest.param(  # octokit/webhooks-methods.js, test/sign.test.ts
            "github",
            "mysecret",
            "x-hub-signature-256",
            "sha256=4864d2759938a15468b5df9ade20bf161da9b4f737ea61794142f3484236bda3",
            {"body": b'{"foo":"bar"}'},
            id="octokit",
        ),
        pytest.param(  # slackapi/python-slack-sdk, tests/slack_sdk/signature/test_signature_verifier.py
            "slack",
            "8f742231b10e8888abcd99yyyzzz85a5",
            "x-slack-signature",
            "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503",
            {"timestamp": 1531420618, "body": SLACK_BODY, "content_type": FORM},
            id="slack",
        ),
        pytest.param(  # muxinc/mux-node-sdk, its older tests of webhooks
            "mux",
            "SuperSecret123",
            "mux-signature",
            "t=1565125718,v1=854ece4c22acef7c66b57d4e504153bc512595e8e9c772ece2a68150548c19a7",
            {"timestamp": 1565125718, "body": b'{"test":"body"}'},
            id="mux",
        ),
        pytest.param(  # stripe has no vector of its own; its form is that of Mux
            "stripe",
            "SuperSecret123",
            "stripe-signature",
            "t=1565125718,v1=854ece4c22acef7c66b57d4e504153bc512595e8e9c772ece2a68150548c19a7",
            {"timestamp": 1565125718, "body": b'{"test":"body"}'},
            id="stripe",
        ),
        pytest.param(  # twilio/twilio-python, tests/unit/test_request_validator.py
            "twilio",
            "12345",
            "x-twilio-signature",
            "RSOYDt4T1cUTdK1PDd93/VVr8B8=",
            {"url": TWILIO_URL, "body": TWILIO_FORM, "content_type": FORM},
            id="twilio form",
        ),
        pytest.param(
            "twilio",
            "12345",
            "x-twilio-signature",
            "a9nBmqA0ju/hNViExpshrM61xv4=",
            {"url": TWILIO_URL, "body": b'{"property": "value", "boolean": true}'},
            id="twilio json",
        ),
        pytest.param(
            "twilio",
            "12345",
            "x-twilio-signature",
            "Zmvh+3yNM1Phv2jhDCwEM3q5ebU=",
            {
                "url": TWILIO_URL.replace("https", "http").replace(".com", ".com:1234"),
                "body": TWILIO_FORM,
                "content_type": FORM,
            },
            id="twilio port",
        ),
        pytest.param(  # square/square-python-sdk, tests/integration/test_webhooks_helper.py
            "square",
            "Ibxx_5AKakO-3qeNVR61Dw",
            "x-square-hmacsha256-signature",
            "GF4YkrJgGBDZ9NIYbNXBnMzqb2HoL4RW/S6vkZ9/2N4=",
            {"url": "https://webhook.site/679a4f3a-dcfa-49ee-bac5-9d0edad886b9", "body": SQUARE_BODY},
            id="square",
        ),
        pytest.param(  # the same; characters that some serializers escape
            "square",
            "signature-key",
            "x-square-hmacsha256-signature",
            "Cxt7+aTi4rKgcA0bC4g9EHdVtLSDWdqccmL5MvihU4U=",
            {"url": "https://webhook.site/webhooks", "body": b'{"data":{"type":"webhooks","id":">id<"}}'},
            id="square unescaped",
        ),
        pytest.param(  # cloudconvert/cloudconvert-python, tests/unit/testWebhookSignature.py
            "cloudconvert",
            "90sffs0d8fs0f9sf0",
            "cloudconvert-signature",
            "5c4c0691bce8a1a2af738b7073fe0627e792734813358c5f88a658819dd0a6d2",
            {"body": b"cloudconvert", "content_type": TEXT},
            id="cloudconvert",
        ),
        pytest.param(  # messagebird/python-rest-api, webhook_signature_test_data.json: the signature of a JWT
            scheme(encoding="base64url"),
            "36efdd1aace2e26cd490f0d951138253bef2f7c6d34d18981da781555cc4cebb",
            "x",
            MESSAGEBIRD.rpartition(".")[2],
            {"body": MESSAGEBIRD.rpartition(".")[0].encode(), "content_type": TEXT},
            id="messagebird jwt",
        ),
    ],
)
def test_vectors_that_providers_publish(
    preset: Scheme | str, secret: str, name: str, expected: str, message: dict[str, Any]
) -> None:
    assert header(preset, secret, name=name, **message) == expected


def test_dropbox_sign_has_its_hash_in_the_body() -> None:
    # hellosign/dropbox-sign-python, examples/EventCallbackExample.py
    event = {"event": {"event_time": "1669926463", "event_type": "account_confirmed", "event_hash": "?"}, "a": [1]}

    made = signed(
        "dropbox-sign", "324e3b0840f065eb51f3fd63231d0d33daa35d4ed10d27718839e81737065782", encode_json(event)
    )

    expected = "ff8b03439122f9160500c3fb855bdee5a9ccba5fff27d3b258745d8f3074832f"
    assert json.loads(made.body) == {**event, "event": {**event["event"], "event_hash": expected}}  # type: ignore[dict-item]
    assert made.headers == ()


def test_sendgrid_signs_the_time_and_the_bytes() -> None:
    # sendgrid/sendgrid-python, test/unit/test_eventwebhook.py; ECDSA is random: their signature is verified for the message that we sign
    spki = (
        "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE83T4O/n84iotIvIW4mdBgQ/7dAfSmpqIM8kF9mN1flpVKS3GRqe62gw+2fNNRaINXvVpiglS"
        "I8eNEc6wEA3F+g=="
    )
    theirs = "MEUCIGHQVtGj+Y3LkG9fLcxf3qfI10QysgDWmMOVmxG0u6ZUAiEAyBiXDWzM+uOe5W0JuG+luQAbPIqHh89M15TluLtEZtM="
    message = replace(SCHEMES["sendgrid"], algorithm="none")
    name = "X-Twilio-Email-Event-Webhook-Signature"

    over = base64.b64decode(header(message, "", SENDGRID_BODY, timestamp=1600112502, name=name))

    key = serialization.load_der_public_key(base64.b64decode(spki))
    assert isinstance(key, ec.EllipticCurvePublicKey)
    key.verify(base64.b64decode(theirs), over, ec.ECDSA(hashes.SHA256()))
