"""PURE: how known providers sign webhooks. Each row names its source and the date when it was read."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Scheme:
    """How a webhook is signed. The fields are the keys of `sign` in a mocks file.

    `digest_query` is not one: it names a query parameter with the SHA-256 of a body that is not a form (Twilio).
    """

    algorithm: str = "hmac-sha256"
    secret_encoding: str = "utf8"
    message: str = "{body}"
    encoding: str = "hex"
    timestamp_format: str = "seconds"
    headers: dict[str, str] = field(default_factory=dict)
    fields: dict[str, str] = field(default_factory=dict)
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
    # RFC 6750 2.1
    "bearer": Scheme(algorithm="none", headers={"Authorization": "Bearer {secret}"}),
    # RFC 7617; the secret is user:password
    "basic": Scheme(
        algorithm="none", message="{secret}", encoding="base64", headers={"Authorization": "Basic {signature}"}
    ),
}
