"""The command `latehook`: `latehook check`, `schema`, and the commands of the package `importing`."""

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path

from latehook.base.errors import LatehookError, MocksError
from latehook.base.redaction import Redaction
from latehook.mocks.definitions import Mock
from latehook.mocksfile import loading
from latehook.mocksfile.describing import describe
from latehook.mocksfile.schema import json_schema

IMPORTING = {
    "record": "record one run of the system with the real third party",
    "infer": "make a mocks file from recordings of mitmproxy, or HAR",
    "import": "make a mocks file from an OpenAPI document",
    "verify": "play the requests of a recording to a mocks file, and say what differs",
}
"""The commands that have a module `latehook.importing.NAME_command`. A module is imported when its command is used."""

BROKEN_PIPE = 128 + 13
"""The exit status when the reader of the output has gone, as a shell reports it of a process that SIGPIPE ended."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command with these arguments (by default, those of the process), and return its exit status."""
    try:
        status = _dispatch(arguments)
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python complains again when it ends
        return BROKEN_PIPE
    return status


def _dispatch(arguments: Sequence[str] | None) -> int:
    given = sys.argv[1:] if arguments is None else list(arguments)
    parser = argparse.ArgumentParser(prog="latehook", description="Stands in for a slow third-party service in tests.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")
    check = commands.add_parser("check", help="check mocks files, and describe what each mock does")
    check.add_argument("files", nargs="+", type=Path, metavar="FILE")
    commands.add_parser("schema", help="print the JSON Schema of mocks files, for editors")
    for name, help in IMPORTING.items():
        command = commands.add_parser(name, help=help)
        if given[:1] == [name]:
            module = import_module(f"latehook.importing.{name}_command")
            module.add_arguments(command)
            command.set_defaults(run=module.run)
    parsed = parser.parse_args(given)
    if parsed.command == "schema":
        print(json.dumps(json_schema(), indent=2, ensure_ascii=False))
        return 0
    return _check(parsed.files) if parsed.command == "check" else _run(parsed.run, parsed)


def _run(command: Callable[[argparse.Namespace], int], parsed: argparse.Namespace) -> int:
    """Run a command; print the error that ends it. Exit status 70 stands for a fault of Latehook (EX_SOFTWARE)."""
    try:
        return command(parsed)
    except LatehookError as error:
        print(f"latehook {parsed.command}: {error}", file=sys.stderr)
        return getattr(error, "exit_status", 1)


def _check(files: Sequence[Path]) -> int:
    """Check the files together, as mitmdump would load them; environment variables may be missing."""
    missing: set[str] = set()
    try:
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


if __name__ == "__main__":
    sys.exit(main())
