"""Sign a sample message by a scheme."""

from typing import Any
from urllib.parse import urlencode

from latehook.webhooks.draft import Message
from latehook.webhooks.schemes import SCHEMES, Scheme
from latehook.webhooks.signing import Signed, sign

JSON = "application/json"
FORM = "application/x-www-form-urlencoded"
TEXT = "text/plain"
URL = "http://app.test/hook"
UUID = "0b5e9f4e-7d0c-4b57-9a3e-3f0a4a1f2c11"
NOW = 1_700_000_000.123
"""Unix seconds at which the sample message is signed."""

SENDGRID_BODY = (
    b'[{"email":"hello@world.com","event":"dropped","reason":"Bounced Address",'
    b'"sg_event_id":"ZHJvcC0xMDk5NDkxOS1MUnpYbF9OSFN0T0doUTRrb2ZTbV9BLTA",'
    b'"sg_message_id":"LRzXl_NHStOGhQ4kofSm_A.filterdrecv-p3mdw1-756b745b58-kmzbl-18-5F5FC76C-9.0",'
    b'"smtp-id":"<LRzXl_NHStOGhQ4kofSm_A@ismtpd0039p1iad1.sendgrid.net>","timestamp":1600112492}]\r\n'
)
TWILIO_URL = "https://mycompany.com/myapp.php?foo=1&bar=2"
TWILIO_FORM = urlencode(
    {
        "CallSid": "CA1234567890ABCDE",
        "Digits": "1234",
        "From": "+14158675309",
        "To": "+18005551212",
        "Caller": "+14158675309",
    }
).encode()


def signed(
    scheme: Scheme | str,
    secrets: str | list[str],
    body: bytes = b"",
    content_type: str = JSON,
    url: str = URL,
    timestamp: float = NOW,
    id: str = "msg_1",
    method: str = "POST",
) -> Signed:
    """Return a message signed by a scheme or by the preset of this name."""
    scheme = SCHEMES[scheme] if isinstance(scheme, str) else scheme
    secrets = [secrets] if isinstance(secrets, str) else secrets
    return sign(scheme, secrets, message(body, content_type, url, timestamp, id, method))


def message(
    body: bytes = b"",
    content_type: str = JSON,
    url: str = URL,
    timestamp: float = NOW,
    id: str = "msg_1",
    method: str = "POST",
    **headers: str,
) -> Message:
    """Return a message to sign. In names of headers `_` stands for `-`."""
    own = tuple((name.replace("_", "-"), value) for name, value in headers.items())
    return Message(id, timestamp, method, url, body, (("content-type", content_type), *own), lambda: UUID)


def header(scheme: Scheme | str, secrets: str | list[str], *arguments: Any, name: str = "x", **named: Any) -> str:
    """Return the header `name` of a signed message; the other arguments are those of `signed`."""
    headers = {name.lower(): value for name, value in signed(scheme, secrets, *arguments, **named).headers}
    return headers[name.lower()]


def scheme(**keys: Any) -> Scheme:
    """Return a scheme with these keys that sends the signature in the header `x`."""
    return Scheme(**{"headers": {"x": "{signature}"}, **keys})
