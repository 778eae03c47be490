"""The console command: `latehook check FILE…`, `latehook schema`."""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from latehook import mocksfile
from latehook.base.errors import MocksError
from latehook.base.redaction import Redaction
from latehook.mocksfile.describing import describe
from latehook.mocksfile.entries import File


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; its exit status."""
    parser = argparse.ArgumentParser(prog="latehook", description="Stands in for a slow third-party service.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")
    check = commands.add_parser("check", help="check mocks files, and say what each mock answers and will send")
    check.add_argument("files", nargs="+", type=Path, metavar="FILE")
    commands.add_parser("schema", help="print the JSON Schema of mocks files, for editors")
    given = parser.parse_args(arguments)
    if given.command == "schema":
        print(json.dumps(schema(), indent=2, ensure_ascii=False))
        return 0
    return _check(given.files)


def schema() -> dict[str, object]:
    """The JSON Schema of a mocks file, made from the types that check it."""
    made = msgspec.json.schema(File)
    made["$defs"]["File"]["patternProperties"] = {"^x-": {}}
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "A Latehook mocks file", **made}


def _check(files: Sequence[Path]) -> int:
    """All files together, as mitmdump would have them."""
    missing: set[str] = set()
    try:
        mocks = mocksfile.load(files, os.environ, missing)
    except MocksError as error:
        print(error, file=sys.stderr)
        return 1
    redaction = Redaction(mocks.secrets)
    for file in files:
        print(file)
        for mock in mocks.all:
            if mock.place.file == str(file):
                print("\n".join(f"  {line}" for line in redaction.redact(describe(mock))))
    if missing:
        print(f"needs the environment variable{'s'[: len(missing) - 1]} {', '.join(sorted(missing))}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
