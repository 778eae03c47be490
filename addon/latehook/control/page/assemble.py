"""Make one response of the page's files: index.html with its style and scripts in it, and the policy for them."""

import base64
import hashlib
import re
from pathlib import Path

from starlette.responses import Response

from latehook.control import responses

_REFERRER_POLICY = "same-origin"
"""The page's requests say where they come from: where a browser sends no `Sec-Fetch-Site`, the API asks for that."""

_FOLDER = Path(__file__).parent
_PART = re.compile(rb'<link rel="stylesheet" href="(?P<style>\w+\.css)">|<script src="(?P<script>\w+\.js)"></script>')
"""How index.html names a part: a browser can also open the file as it is, without the control API."""


def page() -> Response:
    """Return the page, made from its files as they are now."""
    hashes: dict[str, list[str]] = {"style": [], "script": []}

    def inline(part: re.Match[bytes]) -> bytes:
        """Return a part as an element with its text, whose hash is permitted by the policy."""
        tag = part.lastgroup
        assert tag is not None
        text = (_FOLDER / part[tag].decode()).read_bytes()
        hashes[tag].append(f"'sha256-{base64.b64encode(hashlib.sha256(text).digest()).decode()}'")
        return b"<%b>%b</%b>" % (tag.encode(), text, tag.encode())

    content = _PART.sub(inline, (_FOLDER / "index.html").read_bytes())
    headers = {"content-security-policy": _policy(**hashes), "referrer-policy": _REFERRER_POLICY}
    return responses.file(content, "text/html", headers)


def _policy(style: list[str], script: list[str]) -> str:
    """Return a Content-Security-Policy: only the page's own style and scripts, requests to this API only, no frames."""
    return (
        f"default-src 'none'; style-src {' '.join(style)}; script-src {' '.join(script)}; connect-src 'self'; "
        "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
