"""Payments of the gallery: Adyen and Mollie by their SDKs, PayPal, Wise and a SOAP bank as their documentation shows."""

import base64
import json
import zlib
from collections.abc import Callable
from datetime import datetime
from urllib.parse import parse_qs
from uuid import uuid4

import Adyen
import pytest
from Adyen.util import is_valid_hmac_notification
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from lxml import etree
from mollie.api.client import Client
from mollie.api.error import UnprocessableEntityError

from support.gallery import Gallery, poll, public_key
from support.receivers import Receiver, answer, receiver

ADYEN_KEY = "44782DEF547AAA06C910C43932B1EB0C71FC68D9D0C057550C48EC2ACF6BA056"


def test_adyen_by_its_sdk(gallery: Gallery, use_proxy: Callable[[Gallery], None]) -> None:
    use_proxy(gallery)
    client = Adyen.Adyen(xapikey="key", platform="test").checkout
    amount = {"value": 1130, "currency": "EUR"}
    order = {"merchantAccount": "TestMerchant", "reference": "order-17", "amount": amount}

    payment = client.payments_api.payments({**order, "paymentMethod": {"type": "ideal"}, "returnUrl": "http://a/"})
    psp = payment.message["pspReference"]
    capture = client.modifications_api.capture_authorised_payment({**order, "reference": "capture-17"}, psp)
    refund = client.modifications_api.refund_captured_payment(order, psp)

    assert payment.message["resultCode"] == "Authorised"
    assert (capture.status_code, capture.message["status"]) == (201, "received")
    events = gallery.events(3, psp)
    items = {}
    for event in events:
        [entry] = json.loads(event.body)["notificationItems"]
        item = entry["NotificationRequestItem"]
        assert is_valid_hmac_notification(item, ADYEN_KEY)
        items[item["eventCode"]] = item
    assert {code: item["pspReference"] for code, item in items.items()} == {
        "AUTHORISATION": psp,
        "CAPTURE": capture.message["pspReference"],
        "REFUND": refund.message["pspReference"],
    }
    assert items["CAPTURE"]["originalReference"] == psp and "originalReference" not in items["AUTHORISATION"]
    assert (items["CAPTURE"]["amount"], items["CAPTURE"]["success"]) == (amount, "true")
    with pytest.raises(Adyen.AdyenAPIUnprocessableEntity):
        client.modifications_api.cancel_authorised_payment_by_psp_reference(order, "NOBODY")


def test_mollie_by_its_sdk_and_through_a_redirect(
    gallery: Gallery, use_proxy: Callable[[Gallery], None], sut: Receiver
) -> None:
    use_proxy(gallery)
    client = Client()
    client.set_api_key("test_latehook")
    wanted = {"amount": {"currency": "EUR", "value": "10.00"}, "description": "Order 17", "redirectUrl": "http://a/"}

    with receiver(answer(308, location=f"{sut.url}/new-hook")) as moved:
        payment = client.payments.create({**wanted, "webhookUrl": f"{moved.url}/hook"})
        assert payment.is_open()
        [webhook] = sut.wait(1)

    assert (webhook.method, webhook.path) == ("POST", "/new-hook")
    assert parse_qs(webhook.body.decode()) == {"id": [payment.id]}
    assert client.payments.get(payment.id).is_paid()
    with pytest.raises(UnprocessableEntityError, match="The amount contains an invalid value"):
        client.payments.create({**wanted, "amount": {"currency": "EUR", "value": "10"}})


def test_paypal_order_is_captured_and_its_webhook_verified_by_the_certificate(
    gallery: Gallery, slow_gallery: Gallery
) -> None:
    orders = "https://api-m.sandbox.paypal.com/v2/checkout/orders"
    amount = {"currency_code": "USD", "value": "100.00"}
    token = gallery.api.post(orders.replace("v2/checkout/orders", "v1/oauth2/token"), auth=("id", "secret")).json()
    headers = {"authorization": f"Bearer {token['access_token']}", "paypal-request-id": str(uuid4())}

    wanted = {"intent": "CAPTURE", "purchase_units": [{"amount": amount}]}
    order = gallery.api.post(orders, json=wanted, headers=headers)
    waiting = slow_gallery.api.post(orders, json=wanted, headers=headers).json()["id"]
    early = slow_gallery.api.post(f"{orders}/{waiting}/capture", headers=headers)
    poll(lambda: gallery.api.get(f"{orders}/{order.json()['id']}").json(), "APPROVED")
    captured = gallery.api.post(f"{orders}/{order.json()['id']}/capture", headers=headers).json()

    assert (early.status_code, early.json()["details"][0]["issue"]) == (422, "ORDER_NOT_APPROVED")
    [approved, completed] = gallery.events(2, order.json()["id"])
    body = json.loads(completed.body)
    assert json.loads(approved.body)["event_type"] == "CHECKOUT.ORDER.APPROVED"
    assert body["event_type"] == "PAYMENT.CAPTURE.COMPLETED"
    [capture] = captured["purchase_units"][0]["payments"]["captures"]
    assert (body["resource"]["id"], body["resource"]["amount"]) == (capture["id"], amount)
    # developer.paypal.com, Integrate webhooks: the transmission id, its time, the webhook's id, and the body's CRC32
    got = completed.headers
    checksum = zlib.crc32(completed.body)
    text = f"{got['paypal-transmission-id']}|{got['paypal-transmission-time']}|8PT597110X687430LKGECATA|{checksum}"
    certificate = x509.load_pem_x509_certificate(gallery.api.get(got["paypal-cert-url"]).content)
    key = certificate.public_key()
    assert isinstance(key, rsa.RSAPublicKey)
    signature = base64.b64decode(got["paypal-transmission-sig"])
    key.verify(signature, text.encode(), padding.PKCS1v15(), hashes.SHA256())


def test_wise_transfers_tell_each_state_with_a_signature(gallery: Gallery) -> None:
    transfers = "https://api.sandbox.transferwise.tech/v1/transfers"
    wanted = {"targetAccount": 14124090, "quoteUuid": str(uuid4()), "customerTransactionId": str(uuid4())}

    transfer = gallery.api.post(transfers, json=wanted).json()
    again = gallery.api.post(transfers, json=wanted).json()

    assert (transfer["status"], again["id"]) == ("incoming_payment_waiting", transfer["id"])
    events = gallery.events(3, str(transfer["id"]))
    key = public_key("wise-transfers", "wise_key")
    assert isinstance(key, rsa.RSAPublicKey)
    for event in events:  # as transferwise/digital-signatures-examples does it
        key.verify(
            base64.b64decode(event.headers["x-signature-sha256"]), event.body, padding.PKCS1v15(), hashes.SHA256()
        )
    changes = [json.loads(event.body)["data"] for event in events]
    assert [(change["previous_state"], change["current_state"]) for change in changes] == [
        ("incoming_payment_waiting", "processing"),
        ("processing", "funds_converted"),
        ("funds_converted", "outgoing_payment_sent"),
    ]
    assert gallery.api.get(f"{transfers}/{transfer['id']}").json()["status"] == "outgoing_payment_sent"
    assert gallery.api.post(transfers, json={}).status_code == 422


NAMES = {
    "s": "http://schemas.xmlsoap.org/soap/envelope/",
    "a": "http://www.w3.org/2005/08/addressing",
    "p": "urn:iso:std:iso:20022:tech:xsd:pain.002.001.10",
}
ORDER = """<?xml version="1.0" encoding="UTF-8"?>
<env:Envelope xmlns:env="http://schemas.xmlsoap.org/soap/envelope/" xmlns:w="http://www.w3.org/2005/08/addressing">
  <env:Header>
    <w:MessageID env:mustUnderstand="1">urn:uuid:{id}</w:MessageID>
    <w:ReplyTo><w:Address>{reply}/status?a=1&amp;b=2</w:Address></w:ReplyTo>
  </env:Header>
  <env:Body><Document xmlns="urn:iso:std:iso:20022:tech:xsd:pain.001.001.09"><CstmrCdtTrfInitn>
    <GrpHdr><MsgId>M-{id}</MsgId><CreDtTm>2026-11-01T09:00:00Z</CreDtTm><NbOfTxs>1</NbOfTxs></GrpHdr>
    <PmtInf><PmtInfId>P-17</PmtInfId><CdtTrfTxInf><PmtId><EndToEndId>Müller &amp; Söhne</EndToEndId></PmtId></CdtTrfTxInf>
    </PmtInf>
  </CstmrCdtTrfInitn></Document></env:Body>
</env:Envelope>"""


def test_soap_bank_replies_to_the_address_of_the_order(gallery: Gallery, sut: Receiver) -> None:
    bank, id = "https://soap.bank.example/payments", uuid4().hex
    order = ORDER.format(id=id, reply=sut.url).encode()

    accepted = gallery.api.post(bank, data=order, headers={"content-type": "text/xml; charset=utf-8"})

    relates = etree.fromstring(accepted.content).findtext("s:Header/a:RelatesTo", namespaces=NAMES)
    assert (accepted.status_code, relates) == (202, f"urn:uuid:{id}")
    [status] = sut.wait(1)
    assert (status.path, status.headers["content-type"]) == ("/status?a=1&b=2", "text/xml; charset=utf-8")
    envelope = etree.fromstring(status.body)
    assert envelope.findtext("s:Header/a:RelatesTo", namespaces=NAMES) == f"urn:uuid:{id}"
    report = envelope.find("s:Body/p:Document/p:CstmrPmtStsRpt", namespaces=NAMES)
    assert report is not None
    texts = {etree.QName(node).localname: node.text for node in report.iter() if len(node) == 0}
    assert datetime.fromisoformat(texts.pop("CreDtTm"))
    assert {name: texts[name] for name in ("OrgnlMsgId", "GrpSts", "OrgnlEndToEndId", "TxSts")} == {
        "OrgnlMsgId": f"M-{id}",
        "GrpSts": "ACSC",
        "OrgnlEndToEndId": "Müller & Söhne",
        "TxSts": "ACSC",
    }
    fault = gallery.api.post(bank, data=b"<a/>", headers={"content-type": "text/xml"})
    assert (fault.status_code, b"soap:Fault" in fault.content) == (500, True)
