"""PURE: lists have only the beginnings of long bodies. Which items lack a part, and how they get it."""

from msgspec.structs import replace

from latehook.api.models import Attempt, Job, JobRequest, JobResponse, Webhook


def lacks_some(item: Webhook | Job) -> bool:
    """Return whether a body of a webhook or job is truncated."""
    if isinstance(item, Webhook):
        return item.truncated or any(attempt.truncated for attempt in item.attempts)
    own = item.request.truncated or (item.response is not None and item.response.truncated)
    return own or any(map(lacks_some, item.webhooks))


def complete_webhook(listed: Webhook, whole: Webhook) -> Webhook:
    """Return a webhook as it was listed, with the bodies of `whole`: the same webhook by its id."""
    answers = {attempt.number: attempt for attempt in whole.attempts}
    attempts = (_complete(attempt, answers.get(attempt.number, attempt)) for attempt in listed.attempts)
    return replace(_complete(listed, whole), attempts=tuple(attempts))


def complete_job(listed: Job, whole: Job) -> Job:
    """Return a job as it was listed, with the bodies of `whole`: the same job by its id and number."""
    webhooks = {webhook.id: webhook for webhook in whole.webhooks}
    return replace(
        listed,
        request=_complete(listed.request, whole.request),
        response=listed.response and whole.response and _complete(listed.response, whole.response),
        webhooks=tuple(complete_webhook(webhook, webhooks.get(webhook.id, webhook)) for webhook in listed.webhooks),
    )


def _complete[Message: (Attempt, Webhook, JobRequest, JobResponse)](listed: Message, whole: Message) -> Message:
    if not listed.truncated:
        return listed
    return replace(listed, body=whole.body, truncated=whole.truncated, body_base64=whole.body_base64)
