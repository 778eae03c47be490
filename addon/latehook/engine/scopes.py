"""What the filter `where` sees: of a request, of a job, of a webhook."""

from collections.abc import Mapping
from typing import Any

from latehook.base.model import Job, Moment, StoredWebhook
from latehook.engine.context import LiveContext
from latehook.engine.journal import JournalEntry
from latehook.expressions.views import JobView, RequestView, WebhookView


class Scopes:
    """Makes the scopes of expressions, as of this moment."""

    def __init__(self, context: LiveContext) -> None:
        self._context = context

    def of_request(self, entry: JournalEntry) -> Mapping[str, Any]:
        return {**_times(self._context.moment()), "request": RequestView(entry.request)}

    def of_job(self, job: Job) -> Mapping[str, Any]:
        moment = self._context.moment().of(job)
        view = JobView(job, moment.now)
        return {**_times(moment), "job": view, "request": view.request}

    def of_webhook(self, stored: StoredWebhook) -> Mapping[str, Any]:
        one = stored.webhook
        webhook = WebhookView(one.id, stored.attempts, one.event, one.to)
        return {**self.of_job(stored.job), "webhook": webhook, "item": one.item, "index": one.index}


def _times(moment: Moment) -> dict[str, float]:
    return {"now": moment.now, "real_now": moment.real_now}
