"""Presets that need more than a secret, as the provider's own library or its documentation verifies them."""

import base64
import hmac
import json
import zlib
from dataclasses import replace
from typing import Any

import pytest
from Adyen.util import is_valid_hmac_notification
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from latehook.webhooks.schemes import SCHEMES, Scheme
from latehook.webhooks.signing import sign
from support.keys import pem, rsa_key
from support.signing import message, signed

ADYEN_KEY = "44782DEF547AAA06C910C43932B1EB0C71FC68D9D0C057550C48EC2ACF6BA056"


def adyen(**changes: Any) -> bytes:
    item = {
        "additionalData": {"hmacSignature": "", "expiryDate": "12/2028"},
        "amount": {"currency": "EUR", "value": 1130},
        "eventCode": "AUTHORISATION",
        "merchantAccountCode": "TestMerchant",
        "merchantReference": "Testpayment-1142147",
        "pspReference": "7914073381342284",
        "success": "true",
        **changes,
    }
    return json.dumps({"live": "false", "notificationItems": [{"NotificationRequestItem": item}]}).encode()


@pytest.mark.parametrize("changes", [{}, {"originalReference": "8313842560770001"}, {"merchantReference": "a:b\\ü"}])
def test_adyens_own_library_accepts_a_notification(changes: dict[str, str]) -> None:
    body = signed("adyen", ADYEN_KEY, adyen(**changes)).body

    item = json.loads(body)["notificationItems"][0]["NotificationRequestItem"]
    assert item["additionalData"]["expiryDate"] == "12/2028"
    assert is_valid_hmac_notification(item, ADYEN_KEY)
    assert not is_valid_hmac_notification({**item, "amount": {"currency": "EUR", "value": 1131}}, ADYEN_KEY)
    assert not is_valid_hmac_notification(item, "00" * 32)


SNS_NOTIFICATION = {
    "Type": "Notification",
    "MessageId": "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324",
    "TopicArn": "arn:aws:sns:us-west-2:123456789012:MyTopic",
    "Message": "Hello ü\nworld!",
    "Timestamp": "2012-05-02T00:54:06.655Z",
    "SigningCertURL": "https://sns.us-west-2.amazonaws.com/SimpleNotificationService.pem",
}
SNS_CONFIRMATION = {
    **SNS_NOTIFICATION,
    "Type": "SubscriptionConfirmation",
    "Token": "2336412f37",
    "SubscribeURL": "https://sns.us-west-2.amazonaws.com/?Action=ConfirmSubscription",
}


def sns_string(document: dict[str, str]) -> str:
    """Return the string to sign, as the documentation of Amazon SNS describes it for each type."""
    names = ["Message", "MessageId", "Timestamp", "TopicArn", "Type"]
    if document["Type"] != "Notification":
        names = ["Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"]
    elif "Subject" in document:
        names.insert(2, "Subject")
    return "".join(f"{name}\n{document[name]}\n" for name in names)


@pytest.mark.parametrize(
    "document", [SNS_NOTIFICATION, {**SNS_NOTIFICATION, "Subject": "My First Message"}, SNS_CONFIRMATION]
)
@pytest.mark.parametrize("version", ["1", "2"])
def test_sns(document: dict[str, str], version: str) -> None:
    preset = SCHEMES["sns"]
    if version == "1":
        preset = replace(preset, algorithm="rsa-sha1", fields={**preset.fields, "/SignatureVersion": "1"})

    body = json.loads(signed(preset, pem(rsa_key()), json.dumps(document).encode()).body)

    used = {"1": hashes.SHA1(), "2": hashes.SHA256()}[body["SignatureVersion"]]
    assert {name: body[name] for name in document} == document
    signature = base64.b64decode(body["Signature"])
    rsa_key().public_key().verify(signature, sns_string(document).encode(), padding.PKCS1v15(), used)


def test_paypal() -> None:
    preset = replace(SCHEMES["paypal"], key_id="8PT597110X687430LKGECATA")
    body = b'{"event_type": "PAYMENT.CAPTURE.COMPLETED"}'

    headers = dict(signed(preset, pem(rsa_key()), body).headers)

    names = [headers[f"PAYPAL-TRANSMISSION-{name}"] for name in ("ID", "TIME")]
    text = "|".join([*names, "8PT597110X687430LKGECATA", str(zlib.crc32(body))])
    signature = base64.b64decode(headers["PAYPAL-TRANSMISSION-SIG"])
    rsa_key().public_key().verify(signature, text.encode(), padding.PKCS1v15(), hashes.SHA256())


WISE_KEY = """-----BEGIN PUBLIC KEY-----
MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAwpb91cEYuyJNQepZAVfP
ZIlPZfNUefH+n6w9SW3fykqKu938cR7WadQv87oF2VuT+fDt7kqeRziTmPSUhqPU
ys/V2Q1rlfJuXbE+Gga37t7zwd0egQ+KyOEHQOpcTwKmtZ81ieGHynAQzsn1We3j
wt760MsCPJ7GMT141ByQM+yW1Bx+4SG3IGjXWyqOWrcXsxAvIXkpUD/jK/L958Cg
nZEgz0BSEh0QxYLITnW1lLokSx/dTianWPFEhMC9BgijempgNXHNfcVirg1lPSyg
z7KqoKUN0oHqWLr2U1A+7kqrl6O2nx3CKs1bj1hToT1+p4kcMoHXA7kA+VBLUpEs
VwIDAQAB
-----END PUBLIC KEY-----"""
WISE_BODY = (
    b'{"data":{"resource":{"id":49983981,"profile_id":16055450,"account_id":14124090,"type":"transfer"},'
    b'"current_state":"incoming_payment_waiting","previous_state":null,"occurred_at":"2021-08-23T10:12:50Z"},'
    b'"subscription_id":"90aa8e14-4ef1-4a56-861c-f3c9cde097ea","event_type":"transfers#state-change",'
    b'"schema_version":"2.0.0","sent_at":"2021-08-23T10:12:50Z"}'
)
WISE_SIGNATURE = (
    "wKcKCYXAzxNgiu7xmoDm943NUni7Rz33QN8JkEA9dWSGebgndonabgSj18Y4C08OrwVmueGsED2s00M7DtJVcYKOS1i3G4TMVx+mgM3aL9djMBkQ"
    "tiYNBFUd6wrPI7ZUNHv/TrlKSjTMc+6JFvUvJ7owY3z85e3I4jLRLJowMFvO8kvCJ60+1pY9wDwZvtZ//WS93LrwGjk9Dvwzpmu0w+P4J75tETT5"
    "qC3Uv0y5G2yO8SEoO3yNP/tg/BOli02niHb53vEOUWUb9bly6thnfMoXoiV/osoGxgF20R58RlvkAmezyyl1Sv542TfS2DpiwVnmjjjkCyXeSUcK"
    "ookYLQ=="
)


def verify_as_wise_says(key: rsa.RSAPublicKey, signature: str, body: bytes) -> None:
    key.verify(base64.b64decode(signature), body, padding.PKCS1v15(), hashes.SHA256())


def test_wise() -> None:
    # transferwise/digital-signatures-examples, verify-webhook-signature: the check of the test is Wise's own
    key = serialization.load_pem_public_key(WISE_KEY.encode())
    assert isinstance(key, rsa.RSAPublicKey)
    verify_as_wise_says(key, WISE_SIGNATURE, WISE_BODY)

    headers = dict(signed("wise", pem(rsa_key()), WISE_BODY).headers)

    verify_as_wise_says(rsa_key().public_key(), headers["X-Signature-SHA256"], WISE_BODY)
    with pytest.raises(InvalidSignature):
        verify_as_wise_says(rsa_key().public_key(), headers["X-Signature-SHA256"], WISE_BODY + b" ")


def test_zoom() -> None:
    headers = dict(signed("zoom", "secret-token", b'{"event":"meeting.started"}').headers)

    text = f"v0:{headers['x-zm-request-timestamp']}:" + '{"event":"meeting.started"}'
    expected = hmac.new(b"secret-token", text.encode(), "sha256").hexdigest()
    assert headers["x-zm-signature"] == f"v0={expected}"


@pytest.mark.parametrize(
    ("template", "body", "filled"),
    [
        ("{crc32}", b"123456789", "3421780262"),  # the check value of CRC-32
        ("{md5}", b"", "d41d8cd98f00b204e9800998ecf8427e"),
        ("{sha1:base64}", b"", "2jmj7l5rSw0yVb/vlWAYkK/YBwk="),
        ("{sha1:base64url}", b"", "2jmj7l5rSw0yVb_vlWAYkK_YBwk"),
        ("{sha1:hex}", b"", "da39a3ee5e6b4b0d3255bfef95601890afd80709"),
        ("{header:X-Trace}, {header:none}.", b"", "abc, ."),
        ("{header:host} {header:content-length}", b"12", "app.test 2"),
        ("{timestamp}|{timestamp+1m}|{timestamp-2s}|{timestamp+5}", b"", "1700000000|1700000060|1699999998|1700000005"),
        ("{lines:a,b,c}", b'{"c": 1.50, "a": "x", "b": null}', "a\nx\nc\n1.50\n"),
        ("{lines:a}", b"no json", ""),
        ("{lines:a}", b"[1]", ""),
    ],
)
def test_more_tokens(template: str, body: bytes, filled: str) -> None:
    made = Scheme(algorithm="none", message=template, encoding="hex", headers={"x": "{signature}"})

    value = dict(sign(made, [""], message(body, x_trace="abc")).headers)["x"]

    assert bytes.fromhex(value).decode() == filled
