"""PURE: how known providers sign webhooks. Each row names its source and the date when it was read."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from latehook.webhooks.templates import Template


@dataclass(frozen=True, slots=True)
class JwtScheme:
    """What a JSON Web Signature says besides its signature. Without `claims` its payload is the body.

    The header has `alg`, `typ` and `kid` already. Texts in `header` and `claims` are templates; null leaves a name out.
    """

    algorithm: str = "HS256"
    header: Mapping[str, Any] = field(default_factory=dict)
    claims: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Scheme:
    """How a webhook is signed. The fields are the keys of `sign` in a mocks file.

    What is signed is `message`; or a JSON Web Signature, if there is a `jwt`; or the base of an HTTP message signature
    (RFC 9421), if there are `components`. Its `parameters` have `created`, `alg` and `keyid` already.
    `digest_query` is no key: it names a query parameter with the SHA-256 of a body that is not a form (Twilio).
    """

    algorithm: str = "hmac-sha256"
    secret_encoding: str = "utf8"
    message: Template = "{body}"
    encoding: str = "hex"
    timestamp_format: str = "seconds"
    key_id: Template | None = None
    jwt: JwtScheme | None = None
    components: tuple[str, ...] = ()
    parameters: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, Template] = field(default_factory=dict)
    fields: Mapping[str, Template] = field(default_factory=dict)
    digest_query: str | None = None


def _standard_webhooks(prefix: str) -> Scheme:
    """Return the scheme of Standard Webhooks, with its three headers under another prefix."""
    return Scheme(
        secret_encoding="base64",
        message="{id}.{timestamp}.{body}",
        encoding="base64",
        headers={
            f"{prefix}-id": "{id}",
            f"{prefix}-timestamp": "{timestamp}",
            f"{prefix}-signature": "v1,{signature} v1,{signature.2} v1,{signature.3}",
        },
    )


def _timestamped(header: str, version: str = "v1") -> Scheme:
    """Return a scheme with time and signatures in one header, as Stripe has it."""
    value = f"t={{timestamp}},{version}={{signature}},{version}={{signature.2}},{version}={{signature.3}}"
    return Scheme(message="{timestamp}.{body}", headers={header: value})


_ADYEN_ITEM = "/notificationItems/0/NotificationRequestItem"
_ADYEN_SIGNED = (
    *("pspReference", "originalReference", "merchantAccountCode", "merchantReference"),
    *("amount/value", "amount/currency", "eventCode", "success"),
)

SCHEMES: dict[str, Scheme] = {
    # Standard Webhooks 1.0.0, spec/standard-webhooks.md at b2fa7b8; read 2026-11
    "standard-webhooks": _standard_webhooks("webhook"),
    # svix-webhooks at 4fc0cfb, python/svix/webhooks.py; read 2026-11
    "svix": _standard_webhooks("svix"),
    # stripe-python at 6c6e373, stripe/_webhook.py: the secret verbatim, whsec_ and all; read 2026-11
    "stripe": _timestamped("Stripe-Signature"),
    # mux-node-sdk at 89eff08, src/resources/webhooks; read 2026-11
    "mux": _timestamped("Mux-Signature"),
    # elevenlabs-python at 54e5899, webhooks_custom.py; read 2026-11
    "elevenlabs": _timestamped("ElevenLabs-Signature", "v0"),
    # octokit/webhooks-methods.js at da0cc1c; read 2026-11
    "github": Scheme(headers={"X-Hub-Signature-256": "sha256={signature}"}),
    # python-slack-sdk at ae87985, slack_sdk/signature; read 2026-11
    "slack": Scheme(
        message="v0:{timestamp}:{body}",
        headers={"X-Slack-Request-Timestamp": "{timestamp}", "X-Slack-Signature": "v0={signature}"},
    ),
    # Shopify's webhook documentation; read 2026-11
    "shopify": Scheme(encoding="base64", headers={"X-Shopify-Hmac-Sha256": "{signature}"}),
    # twilio-python at 306691e, request_validator.py: the URL and the sorted form, or the URL with the body's digest
    "twilio": Scheme(
        algorithm="hmac-sha1",
        message="{url}{form_sorted}",
        encoding="base64",
        headers={"X-Twilio-Signature": "{signature}"},
        digest_query="bodySHA256",
    ),
    # square-python-sdk at 24302ba, utils/webhooks_helper.py; read 2026-11
    "square": Scheme(
        message="{url}{body}", encoding="base64", headers={"x-square-hmacsha256-signature": "{signature}"}
    ),
    # cloudconvert-python at 3328aea, webhook.py; read 2026-11
    "cloudconvert": Scheme(headers={"CloudConvert-Signature": "{signature}"}),
    # dropbox-sign-python at ca02923, event_callback_helper.py: in the body; read 2026-11
    "dropbox-sign": Scheme(
        message="{json:/event/event_time}{json:/event/event_type}", fields={"/event/event_hash": "{signature}"}
    ),
    # DocuSign Connect's HMAC documentation: one header for each active key; read 2026-11
    "docusign": Scheme(
        encoding="base64",
        headers={
            "x-authorization-digest": "HMACSHA256",
            "X-DocuSign-Signature-1": "{signature}",
            "X-DocuSign-Signature-2": "{signature.2}",
            "X-DocuSign-Signature-3": "{signature.3}",
        },
    ),
    # sendgrid-python at 76788e7, helpers/eventwebhook; read 2026-11
    "sendgrid": Scheme(
        algorithm="ecdsa-p256",
        message="{timestamp}{body}",
        encoding="base64",
        headers={
            "X-Twilio-Email-Event-Webhook-Signature": "{signature}",
            "X-Twilio-Email-Event-Webhook-Timestamp": "{timestamp}",
        },
    ),
    # RFC 9421, with the digest of RFC 9530
    "http-message-signatures": Scheme(
        encoding="base64",
        components=("@method", "@target-uri", "content-digest"),
        headers={
            "Content-Digest": "sha-256=:{sha256:base64}:",
            "Signature-Input": "sig1={signature_input}",
            "Signature": "sig1=:{signature}:",
        },
    ),
    # plaid.com/docs/api/webhooks/webhook-verification; `key_id` is the key's id, for /webhook_verification_key/get;
    # read 2026-11
    "plaid": Scheme(
        jwt=JwtScheme("ES256", {"kid": "{key_id}"}, {"iat": "{timestamp}", "request_body_sha256": "{sha256}"}),
        headers={"Plaid-Verification": "{jwt}"},
    ),
    # developer.vonage.com, Decoding signed webhooks; `key_id` is the API key; read 2026-11
    "vonage": Scheme(
        jwt=JwtScheme(
            "HS256",
            claims={
                "iat": "{timestamp}",
                "jti": "{uuid}",
                "iss": "Vonage",
                "payload_hash": "{sha256}",
                "api_key": "{key_id}",
            },
        ),
        headers={"Authorization": "Bearer {jwt}"},
    ),
    # docs.aws.amazon.com/sns, Verifying the signatures of Amazon SNS messages; version 1 is rsa-sha1; read 2026-11
    "sns": Scheme(
        algorithm="rsa-sha256",
        message="{lines:Message,MessageId,Subject,SubscribeURL,Timestamp,Token,TopicArn,Type}",
        encoding="base64",
        fields={"/SignatureVersion": "2", "/Signature": "{signature}"},
    ),
    # PayPal-Python-SDK at 28becaf, paypalrestsdk/notifications.py; `key_id` is the webhook's id; read 2026-11
    "paypal": Scheme(
        algorithm="rsa-sha256",
        message="{header:paypal-transmission-id}|{header:paypal-transmission-time}|{key_id}|{crc32}",
        encoding="base64",
        timestamp_format="iso8601",
        headers={
            "PAYPAL-TRANSMISSION-ID": "{id}",
            "PAYPAL-TRANSMISSION-TIME": "{timestamp}",
            "PAYPAL-TRANSMISSION-SIG": "{signature}",
            "PAYPAL-AUTH-ALGO": "SHA256withRSA",
        },
    ),
    # docs.wise.com, Event handling; transferwise/digital-signatures-examples; read 2026-11
    "wise": Scheme(
        algorithm="rsa-sha256",
        encoding="base64",
        headers={"X-Signature-SHA256": "{signature}", "X-Delivery-Id": "{id}"},
    ),
    # adyen-python-api-library 16.0.0, Adyen/util.py: in the body; read 2026-11
    "adyen": Scheme(
        secret_encoding="hex",
        message=":".join(f"{{json:{_ADYEN_ITEM}/{name}}}" for name in _ADYEN_SIGNED),
        encoding="base64",
        fields={f"{_ADYEN_ITEM}/additionalData/hmacSignature": "{signature}"},
    ),
    # developers.zoom.us/docs/api/webhooks, Verify with Zoom's header; read 2026-11
    "zoom": Scheme(
        message="v0:{timestamp}:{body}",
        headers={"x-zm-request-timestamp": "{timestamp}", "x-zm-signature": "v0={signature}"},
    ),
    # RFC 6750 2.1
    "bearer": Scheme(algorithm="none", headers={"Authorization": "Bearer {secret}"}),
    # RFC 7617; the secret is user:password
    "basic": Scheme(
        algorithm="none", message="{secret}", encoding="base64", headers={"Authorization": "Basic {signature}"}
    ),
}
