"""The page: one file with HTML, style and script, and the policy for it."""

import base64
import hashlib
import re
from pathlib import Path

from starlette.responses import Response

from latehook.control import responses

_REFERRER_POLICY = "same-origin"
"""The page's requests say where they come from: where a browser sends no `Sec-Fetch-Site`, the API asks for that."""

FILE = Path(__file__).with_name("page.html")


def page() -> Response:
    content = FILE.read_bytes()
    headers = {"content-security-policy": _policy(content), "referrer-policy": _REFERRER_POLICY}
    return responses.file(content, "text/html", headers)


def _policy(content: bytes) -> str:
    """Return a Content-Security-Policy: only the page's own style and script, requests to this API only, no frames."""
    style, script = (_hash(content, tag) for tag in (b"style", b"script"))
    return (
        f"default-src 'none'; style-src {style}; script-src {script}; connect-src 'self'; img-src data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


def _hash(content: bytes, tag: bytes) -> str:
    found = re.search(b"<%s>(.*?)</%s>" % (tag, tag), content, re.DOTALL)
    assert found is not None
    return f"'sha256-{base64.b64encode(hashlib.sha256(found[1]).digest()).decode()}'"
