"""The command `latehook check`: describes in words what each mock of mocks files does."""

import argparse
import os
import sys
from pathlib import Path

from latehook.base.counting import number_of
from latehook.base.errors import MocksError
from latehook.base.redaction import Redaction
from latehook.base.terminal import show_while_waiting
from latehook.mocks.definitions import Mock
from latehook.mocksfile import loading
from latehook.mocksfile.describing import describe


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument(
        "files",
        nargs="*",
        type=Path,
        metavar="FILE",
        default=[Path("mocks.yaml")],
        help="a mocks file; several are one list. Default: mocks.yaml in this folder, as for `latehook run`",
    )


def run(arguments: argparse.Namespace) -> int:
    """Check the files together, as mitmdump would load them; environment variables may be missing."""
    files: list[Path] = arguments.files
    missing: set[str] = set()
    try:
        with show_while_waiting(f"checking {number_of(len(files), 'mocks file')}"):
            mocks = loading.load(files, os.environ, missing)
    except MocksError as error:
        print(error, file=sys.stderr)
        return 1
    redaction = Redaction(mocks.secrets)
    by_file: dict[str, list[Mock]] = {str(file): [] for file in files}
    for mock in mocks.all:
        by_file[mock.place.file].append(mock)
    for file in files:
        print(file)
        for mock in by_file[str(file)]:
            print("\n".join(f"  {line}" for line in redaction.redact(describe(mock))))
    if missing:
        print(f"needs the environment variable{'s'[: len(missing) - 1]} {', '.join(sorted(missing))}")
    return 0
