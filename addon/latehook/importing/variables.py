"""PURE: the values of a job besides its id that the provider repeats: they become `job.vars`."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from latehook.importing.exchanges import Exchange, KeyPath, mentions
from latehook.importing.links import given_leaves, is_in_path
from latehook.importing.scrubbing import SECRET_KEY, snake
from latehook.importing.shapes import is_id_key, is_opaque
from latehook.importing.times import read_time
from latehook.importing.tracing import Trace


def find_variables(jobs: Sequence[Trace], exchanges: Sequence[Exchange]) -> None:
    """Find the other values of each job that the provider repeats: they become `job.vars`."""
    for job in jobs:
        others = [one for one in exchanges if one not in job.all and not _is_about(one, job)]
        counts: dict[str, list[str]] = {}
        for exchange in job.all:
            seen: dict[str, str] = {}
            for path, value in given_leaves(exchange):
                if _is_variable(path, value, job) and read_time(value, exchange.started) is None:
                    seen.setdefault(str(value), _name(path))
            for text, name in seen.items():
                counts.setdefault(text, []).append(name)
        for text, names in counts.items():
            is_elsewhere = any(
                mentions(one.given_words, text) or (mentions(one.request_words, text) and not is_in_path(one, text))
                for one in others
            )
            is_given = "://" in text or mentions(job.creator.request_words, text)
            if len(names) > 1 and not is_elsewhere and not is_given:
                job.vars[text] = _unused(names[0], job.vars.values())


def find_numbers(jobs: Sequence[Trace]) -> None:
    """Find the short numbers that jobs of one kind repeat as ids of their own parts, such as that of a file."""
    places = {
        path for job in jobs for path, value in given_leaves(job.creator) if type(value) is int and is_id_key(path[-1])
    }
    for path in places if len(jobs) > 1 else ():
        values = [dict(given_leaves(job.creator)).get(path) for job in jobs]
        is_own = all(
            type(value) is int and value != job.id and any((path, value) in given_leaves(one) for one in job.linked)
            for job, value in zip(jobs, values, strict=True)
        )
        if is_own and len(set(values)) == len(values):
            for job, value in zip(jobs, values, strict=True):
                job.vars.setdefault(str(value), _name(path))


def _is_about(exchange: Exchange, job: Trace) -> bool:
    """Return whether a later response is about a job too, as one that lists jobs."""
    return exchange.started > job.creator.ended and job.id is not None and mentions(exchange.given_words, job.id)


def drop_constants(jobs: Sequence[Trace]) -> None:
    """Take from jobs what several of them have: it is a constant of the provider, such as the id of an account."""
    counts = Counter(text for job in jobs for text in job.vars)
    for job in jobs:
        job.vars = {text: name for text, name in job.vars.items() if counts[text] == 1}


def _is_variable(path: KeyPath, value: Any, job: Trace) -> bool:
    """Return whether a value can be one of a job's own: it looks random, or its field is named like a secret.

    An id with something around it is no value of its own, unless it is a secret.
    """
    text = str(value)
    is_secret = (
        bool(path) and isinstance(value, str) and len(text) >= 6 and SECRET_KEY.search(snake(path[-1])) is not None
    )
    if job.id is not None and str(job.id) in text:
        return is_secret and text != str(job.id)
    return is_secret or is_opaque(value)


def share_variables(jobs: Sequence[Trace]) -> None:
    """Give jobs that the same request starts the same variables: what one job repeats may be seen once in another."""
    places = {
        path: job.vars[str(value)]
        for job in jobs
        for path, value in given_leaves(job.creator)
        if str(value) in job.vars
    }
    for job in jobs:
        for path, value in given_leaves(job.creator):
            if path in places and is_opaque(value) and str(value) != str(job.id):
                job.vars.setdefault(str(value), places[path])


def _name(path: KeyPath) -> str:
    """Return a name for a variable, made from a field's name and, where that says little, the one around it."""
    keys = [snake(part) for part in path if isinstance(part, str)] or ["value"]
    name = "_".join(keys[-2:]) if keys[-1] in ("id", "token", "name", "value") else keys[-1]
    cleaned = "".join(character if character.isascii() and character.isalnum() else "_" for character in name).strip(
        "_"
    )
    return cleaned if cleaned and not cleaned[0].isdigit() else f"v_{cleaned}"


def _unused(name: str, names: Any) -> str:
    taken, number = set(names), 2
    unused = name
    while unused in taken:
        unused, number = f"{name}{number}", number + 1
    return unused
