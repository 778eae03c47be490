"""PURE: the names that expressions may use, by where they stand in a mocks file."""

from typing import Any

from latehook.expressions.answers import AnsweredWebhookView
from latehook.expressions.expression import Names
from latehook.expressions.random_values import RandomView
from latehook.expressions.views import JobView, RequestView, ResponseView, WebhookView

_REQUEST: Names = dict.fromkeys(RequestView.members)
_RESPONSE: Names = dict.fromkeys(ResponseView.members)
_JOB: Names = {**dict.fromkeys(JobView.members - {"webhooks"}), "request": _REQUEST, "response": _RESPONSE}


class _AnyName(dict[str, Any]):
    """Names of which all exist: each with the same members."""

    def __init__(self, members: Names) -> None:
        super().__init__()
        self._members = members

    def __contains__(self, name: object) -> bool:
        return True

    def __missing__(self, name: str) -> Names:
        return self._members


AT_LOAD: Names = {"env": None}
"""Where a value must be known when the file is loaded."""

AT_REQUEST: Names = {
    **AT_LOAD,
    "request": _REQUEST,
    "jobs": None,
    "now": None,
    "real_now": None,
    "uuid": None,
    "random": dict.fromkeys(RandomView.members),
}
"""Where there is a request; `vars` come in addition, by the file's own."""

REQUEST: Names = {"request": _REQUEST}
JOB: Names = {"job": _JOB}
ANSWERS: Names = {"webhooks": _AnyName(dict.fromkeys(AnsweredWebhookView.members))}
"""More members of `job`, where something is decided after its request."""
WEBHOOK: Names = {"webhook": dict.fromkeys(WebhookView.members)}
ITEM: Names = {"item": None}
"""In a webhook with `each`."""
INDEX: Names = {"index": {}}
"""In a webhook with `each` or `repeat`."""
