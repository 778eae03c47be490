"""PURE: the names that expressions may use, by where they stand in a mocks file."""

from latehook.expressions.expression import Names
from latehook.expressions.views import JobView, RandomView, RequestView, ResponseView, WebhookView

_REQUEST: Names = dict.fromkeys(RequestView.members)
_RESPONSE: Names = dict.fromkeys(ResponseView.members)
_JOB: Names = {**dict.fromkeys(JobView.members), "request": _REQUEST, "response": _RESPONSE}

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
WEBHOOK: Names = {"webhook": dict.fromkeys(WebhookView.members)}
ITEM: Names = {"item": None}
"""In a webhook with `each`."""
INDEX: Names = {"index": {}}
"""In a webhook with `each` or `repeat`."""
