"""PURE: the names that an expression may use, and what each is in one evaluation."""

from latehook.expressions.expression import Names
from latehook.expressions.views import JobView, RandomView, RequestView, ResponseView, WebhookView

_REQUEST: Names = dict.fromkeys(RequestView.members)
_RESPONSE: Names = dict.fromkeys(ResponseView.members)
_JOB: Names = {**dict.fromkeys(JobView.members), "request": _REQUEST, "response": _RESPONSE}

AT_LOAD: Names = {"env": None}
AT_REQUEST: Names = {
    **AT_LOAD,
    "request": _REQUEST,
    "jobs": None,
    "now": None,
    "uuid": None,
    "random": dict.fromkeys(RandomView.members),
}
REQUEST: Names = {"request": _REQUEST}
JOB: Names = {"job": _JOB}
WEBHOOK: Names = {"webhook": dict.fromkeys(WebhookView.members)}

_OF_BODY = frozenset({"json", "text", "form", "files", "sha256"})


def body_members(roots: frozenset[str], of: str = "request") -> frozenset[str]:
    """Which members of `request` (or `job.request`) that need its body are read by expressions with these roots."""
    read = {root.removeprefix(f"{of}.").partition(".")[0] for root in roots if root.startswith(f"{of}.")}
    return _OF_BODY if of in roots else _OF_BODY & read
