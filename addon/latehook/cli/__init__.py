"""The command `latehook`. Each of its commands is a module, which is imported when its command is used."""

import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import NamedTuple

from latehook.base.errors import LatehookError
from latehook.cli.parser import Parser, Version

BROKEN_PIPE = 128 + 13
"""The exit status when the reader of the output has gone, as a shell reports it of a process that SIGPIPE ended."""

INTERRUPTED = 128 + 2
"""The exit status after Ctrl-C, as a shell reports it of a process that SIGINT ended."""


class Command(NamedTuple):
    """A command: its module has `add_arguments(parser)` and `run(arguments)`, which returns the exit status."""

    module: str
    help: str


COMMANDS = {
    "run": Command("latehook.cli.run", "start the proxy"),
    "env": Command("latehook.cli.env", "print the lines that make a shell, or docker compose, use the proxy"),
    "providers": Command("latehook.cli.providers", "list the mocks of real providers, or print one of them"),
    "check": Command("latehook.cli.check", "check mocks files, and describe what each mock does"),
    "schema": Command("latehook.cli.schema", "print the JSON Schema of mocks files, for editors"),
    "record": Command("latehook.importing.record_command", "record one run of the system with the real third party"),
    "infer": Command("latehook.importing.infer_command", "make a mocks file from recordings of mitmproxy, or HAR"),
    "import": Command("latehook.importing.import_command", "make a mocks file from an OpenAPI document"),
    "verify": Command(
        "latehook.importing.verify_command", "play the requests of a recording to a mocks file, and say what differs"
    ),
    "completion": Command("latehook.cli.completion", "print the completion of this command for bash or zsh"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command with these arguments (by default, those of the process), and return its exit status."""
    try:
        status = _dispatch(sys.argv[1:] if arguments is None else list(arguments))
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python complains again when it ends
        return BROKEN_PIPE
    except KeyboardInterrupt:
        return INTERRUPTED
    return status


def make_parsers(*names: str) -> tuple[Parser, dict[str, Parser]]:
    """Return the parser of all arguments, and those of the commands. Only commands with these names have arguments."""
    parser = Parser(prog="latehook", description="Stands in for a slow third-party service in tests.")
    parser.add_argument("--version", action=Version, help="print the versions of Latehook, mitmproxy and Python")
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="command")
    commands = {name: subparsers.add_parser(name, help=command.help) for name, command in COMMANDS.items()}
    for name in names:
        module = import_module(COMMANDS[name].module)
        module.add_arguments(commands[name])
        commands[name].set_defaults(run=module.run)
    return parser, commands


def _dispatch(given: list[str]) -> int:
    """Run a command; print the error that ends it. Exit status 70 stands for a fault of Latehook (EX_SOFTWARE)."""
    is_run = given[:1] == ["run"]
    own, passed = _split(given) if is_run else (given, [])
    parser, _ = make_parsers(*COMMANDS.keys() & given[:1])
    parsed, unknown = parser.parse_known_args(own)
    if unknown:
        hint = "; write arguments of mitmproxy after --" if is_run else ""
        parser.error(f"unrecognized arguments: {' '.join(unknown)}{hint}")
    parsed.passed = passed
    try:
        status: int = parsed.run(parsed)
    except LatehookError as error:
        print(f"latehook {parsed.command}: {error}", file=sys.stderr)
        return getattr(error, "exit_status", 1)
    return status


def _split(arguments: list[str]) -> tuple[list[str], list[str]]:
    """Return what is before the first `--`, and what follows it."""
    end = arguments.index("--") if "--" in arguments else len(arguments)
    return arguments[:end], arguments[end + 1 :]
