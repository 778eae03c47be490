"""The command `latehook providers`: lists the mocks of real providers, or prints one of them."""

import argparse
import re
from pathlib import Path

from latehook.cli.arguments import PROVIDERS, provider


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument("file", nargs="?", type=provider, metavar="NAME", help="print the mocks file of this provider")


def run(arguments: argparse.Namespace) -> int:
    """Print a provider's mocks file, to begin a file with; or a line for each provider."""
    if arguments.file is not None:
        print(_without_schema(arguments.file.read_text(encoding="utf-8")), end="")
        return 0
    width = max(map(len, PROVIDERS))
    for name, file in PROVIDERS.items():
        print(f"{name:{width}}  {_description(file)}")
    return 0


def _without_schema(text: str) -> str:
    """Return a mocks file without the line for editors: the schema is not beside the copy."""
    return re.sub(r"\A# yaml-language-server: .*\n", "", text)


def _description(file: Path) -> str:
    """Return the first sentence of the comment that describes a file."""
    text = _without_schema(file.read_text(encoding="utf-8"))
    comment = " ".join(line.removeprefix("# ") for line in text.splitlines() if line.startswith("# "))
    return re.split(r"(?<=\.) ", comment, maxsplit=1)[0]
