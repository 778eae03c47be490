"""Checks a list of responses."""

from collections.abc import Sequence

from msgspec import UNSET

from latehook.mocksfile.entries import ChoiceEntry
from latehook.mocksfile.source import KeyPath
from latehook.mocksfile.values import Values


def check_choices(values: Values, entries: Sequence[ChoiceEntry], path: KeyPath, starts_job: bool) -> None:
    """Refuse a list of which some request would get no response, and a response that can never be given."""
    if not entries:
        raise values.error(path, "the list is empty: write a response, or remove `response`")
    for index, entry in enumerate(entries):
        if entry.when is UNSET and index < len(entries) - 1:
            problem = (
                "without `when` it is always given, and those behind it never: write a `when`, or move it to the end"
            )
            raise values.error((*path, index), problem)
        if entry.rejects and not starts_job:
            problem = "it takes back the job that the request has started, and this mock starts none: remove it"
            raise values.error((*path, index, "rejects"), problem)
    if entries[-1].when is not UNSET:
        problem = "this mock has no response if no `when` holds: write a last one without `when`"
        raise values.error((*path, len(entries) - 1, "when"), problem)
