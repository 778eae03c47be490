"""The command `latehook`: `latehook check FILE…` and `latehook schema`."""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from latehook.base.errors import MocksError
from latehook.base.redaction import Redaction
from latehook.mocks.definitions import Mock
from latehook.mocksfile import loading
from latehook.mocksfile.describing import describe
from latehook.mocksfile.schema import json_schema


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command with these arguments (by default, those of the process), and return its exit status."""
    parser = argparse.ArgumentParser(prog="latehook", description="Stands in for a slow third-party service in tests.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")
    check = commands.add_parser("check", help="check mocks files, and describe what each mock does")
    check.add_argument("files", nargs="+", type=Path, metavar="FILE")
    commands.add_parser("schema", help="print the JSON Schema of mocks files, for editors")
    parsed = parser.parse_args(arguments)
    if parsed.command == "schema":
        print(json.dumps(json_schema(), indent=2, ensure_ascii=False))
        return 0
    return _check(parsed.files)


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
