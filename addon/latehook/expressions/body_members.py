"""PURE: which members of `request` need its body. The one table that the proxy, the jobs and the checks go by."""

from collections.abc import Mapping

BODY_MEMBERS: Mapping[str, str | None] = {
    "json": None,
    "xml": None,
    "text": None,
    "bytes": None,
    "form": "parts",
    "files": "parts",
    "sha256": "sha256",
}
"""The members of `request` that need its body → the field of `Request` that holds them if they were computed while the
body arrived (a multipart form, the hash), so that a large body need not be kept; None if only a kept body gives them.
"""


def members_read(reads: frozenset[str], of: str = "request") -> frozenset[str]:
    """Return the members that need the body and that expressions read.

    `reads` are the dotted names that the expressions read; `of` is `request` or `job.request`. An expression that reads
    `of` as a whole reads all its members.
    """
    if of in reads:
        return frozenset(BODY_MEMBERS)
    read = {name.removeprefix(f"{of}.").partition(".")[0] for name in reads if name.startswith(f"{of}.")}
    return frozenset(BODY_MEMBERS.keys() & read)


def held_by(field: str, members: frozenset[str]) -> frozenset[str]:
    """Return those of the members that a field of `Request` (`parts`, `sha256`) can hold."""
    return frozenset(member for member in members if BODY_MEMBERS[member] == field)
