"""Writes a mocks file that was made from recordings or a document. It is checked before, and never replaces a file."""

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from latehook.base.errors import LatehookError, MocksError
from latehook.mocks.definitions import Mocks
from latehook.mocksfile import loading

STANDARD_OUTPUT = Path("-")
REPORT = "This is a fault of Latehook: please report it"


class InternalError(LatehookError):
    """A fault of Latehook: the text that it made is no mocks file."""

    exit_status = 70


def check_output(output: Path) -> None:
    """Raise LatehookError if the output exists."""
    if output != STANDARD_OUTPUT and output.exists():
        raise LatehookError(f"{output} exists, and is not written over: name another file with -o, or -o - to print")


def check_text(text: str, output: Path) -> Mocks:
    """Return the mocks of a text that is to be written. Raises InternalError if `latehook check` would refuse it."""
    missing: set[str] = set()
    try:
        return loading.load_new(text, str(output), missing)
    except MocksError as error:
        raise InternalError(f"the mocks that were made are not valid: {error}. {REPORT}") from None


def write(text: str, output: Path, secrets: Mapping[str, str]) -> None:
    """Write a text that has been checked. Raises LatehookError; InternalError if a secret is in the text."""
    for value, name in secrets.items():
        if len(value) >= 4 and value in text:
            raise InternalError(f"the mocks that were made have the value of {name}: nothing was written. {REPORT}")
    if output == STANDARD_OUTPUT:
        sys.stdout.write(text)
        return
    try:
        with open(output, "x", encoding="utf-8") as opened:
            opened.write(text)
    except FileExistsError:
        check_output(output)
    except OSError as error:
        raise LatehookError(f"{output} cannot be written: {error.strerror}") from None


def secrets_of(names: Sequence[str]) -> dict[str, str]:
    """Return the values of these environment variables, with their names. Raises LatehookError if one is not set."""
    found: dict[str, str] = {}
    for name in names:
        if not (value := os.environ.get(name)):
            raise LatehookError(f"--secret-env {name}: the environment variable is not set, or empty")
        found[value] = name
    return found
