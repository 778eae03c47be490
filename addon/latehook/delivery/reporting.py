"""The log lines about webhooks."""

import logging
import re

from latehook.base import logs
from latehook.base.messages import Outcome
from latehook.base.model import Job, State, Webhook
from latehook.delivery.attempts import RunningAttempt

log = logging.getLogger(logs.LOGGER)


def log_unsent(job: Job, webhook: Webhook) -> None:
    """Log a webhook that is not pending when its job starts."""
    level = logging.WARNING if webhook.state is State.FAILED else logging.INFO
    if webhook.state is State.SKIPPED and webhook.to is not None:
        level = logging.DEBUG  # a `when` that is false is intended, and a log line takes a third of a request's time
    log.log(level, "latehook: job %s: webhook %s: %s", job.id, webhook.state, webhook.reason)


def log_outcome(attempt: RunningAttempt, outcome: Outcome, state: State, wait: float) -> None:
    """Log how an attempt has ended, the webhook's state after it, and the seconds until the next attempt."""
    job, url = attempt.stored.job.id, without_user(attempt.content.url)
    result = (outcome.error or f"{outcome.status}") + _redirected(outcome)
    if state is State.DELIVERED:
        log.info("latehook: job %s: webhook delivered, attempt %d: %s: %s", job, attempt.number, url, result)
        return
    then = "given up" if state is State.FAILED else f"next attempt in {wait:g} s"
    log.warning(
        "latehook: job %s: webhook not delivered, attempt %d: %s: %s; %s", job, attempt.number, url, result, then
    )


def _redirected(outcome: Outcome) -> str:
    return (
        f" ({', '.join(f'{each.status} led to {each.url}' for each in outcome.redirects)})" if outcome.redirects else ""
    )


def without_user(url: str) -> str:
    """Return a URL without the user name and password that it may contain."""
    return _USER.sub(r"\1", url, count=1) if "@" in url else url


_USER = re.compile(r"^([^/?#]*//)[^/?#]*@")
"""A URL's beginning with a user name. A text that is no URL, as `http://user:secret@[`, has one, too."""
