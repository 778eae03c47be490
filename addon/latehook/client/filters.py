"""The filters of the client's methods, as keyword arguments. None of them is required: without any, all are meant."""

from collections.abc import Sequence
from typing import TypedDict


class RequestFilters(TypedDict, total=False):
    """Which requests."""

    job: str | int
    """Only requests that started the job with this id, or asked for it."""
    mock: str
    """Only requests that the mock with this name matched."""
    where: str
    """An expression that must be true, such as `request.json.order == 'o-17'`."""


class WebhookFilters(TypedDict, total=False):
    """Which webhooks, in whatever state."""

    job: str | int
    """Only webhooks of the job with this id."""
    mock: str
    """Only webhooks of jobs that the mock with this name started."""
    event: str
    """Only webhooks with this event."""
    where: str
    """An expression that must be true, such as `request.json.order == 'o-17'`. `request` is that of the job."""


class Filters(WebhookFilters, total=False):
    """Which webhooks, or which jobs, by their webhooks."""

    state: str | Sequence[str]
    """Only webhooks in this state, or in one of several; of jobs, those that have such a webhook."""
