"""Who needs the token: other machines, and everybody where several processes share the store."""

import pytest
from starlette.requests import Request

from latehook.control.access import Access
from latehook.control.responses import Refusal


def check(path: str, peer: str, token: str | None, shared: bool, given: str | None) -> tuple[int, str]:
    """Return the status and the text of a refusal; (200, "") where there is none."""
    headers = [(b"host", b"127.0.0.1")]
    if given is not None:
        headers.append((b"authorization", f"Bearer {given}".encode()))
    scope = {
        "type": "http",
        "method": "GET",
        "scheme": "http",
        "path": path,
        "query_string": b"",
        "headers": headers,
        "client": (peer, 1),
        "server": ("127.0.0.1", 80),
    }
    try:
        Access(lambda: token, lambda host, port: False, lambda: shared).check(Request(scope))
    except Refusal as refusal:
        return refusal.status, str(refusal)
    return 200, ""


@pytest.mark.parametrize(
    ("peer", "token", "shared", "given", "status", "says"),
    [
        ("127.0.0.1", None, False, None, 200, ""),
        ("127.0.0.1", "t", False, None, 200, ""),
        ("192.0.2.7", None, False, None, 403, "192.0.2.7 is not this machine: start with --set mock_token=TOKEN"),
        ("127.0.0.1", "t", True, None, 401, "a token is needed: send the header"),
        ("127.0.0.1", "t", True, "x", 401, "the token is wrong: send the header"),
        ("127.0.0.1", "t", True, "t", 200, ""),
        (
            "127.0.0.1",
            None,
            True,
            None,
            403,
            "several processes share the store: start each with the same --set mock_token=TOKEN: behind a balancer, ",
        ),
    ],
)
def test_behind_a_balancer_a_client_on_this_machine_needs_the_token_too(
    peer: str, token: str | None, shared: bool, given: str | None, status: int, says: str
) -> None:
    found, text = check("/_latehook/status", peer, token, shared, given)
    assert (found, text[: len(says)]) == (status, says)
    if token is not None:  # a balancer asks for it, to see whether the process is alive
        assert check("/_latehook/", peer, token, shared, given) == (200, "")
