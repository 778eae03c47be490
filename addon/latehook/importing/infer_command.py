"""The command `latehook infer`: recordings in, a mocks file out."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from latehook.base.counting import number_of
from latehook.base.errors import LatehookError
from latehook.base.terminal import show_while_waiting
from latehook.importing import writing, yaml_text
from latehook.importing.infer import Inferred, infer

HELP = "make a mocks file from recordings: flow files of mitmproxy, or HAR"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "files", nargs="+", type=Path, metavar="FILE", help="a flow file or a HAR file; several refine each other"
    )
    parser.add_argument(
        "--host", action="append", default=[], help="a host to make mocks of; may be repeated, and be *.slow.example"
    )
    parser.add_argument("--secret-env", action="append", default=[], metavar="NAME",
                        help="the variable of a secret: it verifies signatures, and is never written")  # fmt: skip
    parser.add_argument("-o", dest="output", type=Path, default=writing.STANDARD_OUTPUT, metavar="FILE",
                        help="the mocks file to write; it must not exist (default: -, standard output)")  # fmt: skip


def run(arguments: argparse.Namespace) -> int:
    """Write the mocks file, and say on standard error what was guessed and left out. Raises LatehookError."""
    from latehook.importing.reading import read  # imports mitmproxy

    output: Path = arguments.output
    writing.check_output(output)
    secrets = writing.secrets_of(arguments.secret_env)
    with show_while_waiting(f"reading {number_of(len(arguments.files), 'recording')}"):
        inferred = infer(read(arguments.files, arguments.host), secrets)
    if not inferred.mocks:
        raise LatehookError(_why_empty(inferred))
    text = mocks_file(inferred, arguments.files)
    writing.check_text(text, output)
    writing.write(text, output, secrets)
    print("\n".join(summary(inferred, output, text)), file=sys.stderr)
    return 0


def mocks_file(inferred: Inferred, files: Sequence[Path]) -> str:
    """Return the text of the mocks file."""
    names = ", ".join(file.name for file in files)
    count = len(inferred.mocks)
    head = [
        f"Made by `latehook infer` from {names}: "
        f"{number_of(inferred.requests, 'request')}, {number_of(inferred.webhooks, 'webhook')}.",
        f"{number_of(count, 'mock')}. Look at the lines with `guessed:`; `latehook verify` compares.",
    ]
    foot = [f"left out: {line}" for line in inferred.left_out]
    return yaml_text.write([(made.lines, made.mock) for made in inferred.mocks], head, foot)


def summary(inferred: Inferred, output: Path, text: str) -> list[str]:
    """Return the lines for the terminal."""
    guesses = [(number, line) for number, line in enumerate(text.splitlines(), 1) if "# guessed:" in line]
    lines = [
        f"{output}: {number_of(len(inferred.mocks), 'mock')} of {number_of(inferred.requests, 'request')} and "
        f"{number_of(inferred.webhooks, 'webhook')}, {number_of(len(guesses), 'guess')}"
    ]
    lines += [f"  line {number}: {line.partition('# ')[2]}" for number, line in guesses]
    lines += [f"  left out: {line}" for line in inferred.left_out]
    if inferred.others:
        total = sum(inferred.others.values())
        hosts = number_of(len(inferred.others), "other host")
        lines.append(f"  not looked at: {number_of(total, 'request')} to {hosts}")
    return lines


def _why_empty(inferred: Inferred) -> str:
    hosts = ", ".join(f"{host} ({count})" for host, count in inferred.others.most_common())
    seen = f" It has requests to {hosts}: name the host with --host." if hosts else ""
    reasons = "".join(f" {line}." for line in inferred.left_out)
    return f"no mock can be made: the recording has no answered request to the host.{seen}{reasons}"
