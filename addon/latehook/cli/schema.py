"""The command `latehook schema`: prints the JSON Schema of mocks files."""

import argparse
import json

from latehook.mocksfile.schema import json_schema


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command: there are none."""


def run(arguments: argparse.Namespace) -> int:
    """Print the schema."""
    print(json.dumps(json_schema(), indent=2, ensure_ascii=False))
    return 0
