"""The command `latehook run`: mitmdump or mitmweb with Latehook, in this process.

So the exit status and all signals are mitmproxy's own, and no process can be left over.
"""

import argparse
from importlib import import_module
from pathlib import Path

from latehook.base.errors import LatehookError
from latehook.base.installation import SCRIPTS
from latehook.cli.arguments import CONFDIR, PORT, port, provider

USAGE = "latehook run [OPTIONS] [FILE ...] [-- MITMDUMP ARGUMENTS]"
DESCRIPTION = "Starts the proxy. Ctrl-C stops it. All arguments after -- go to mitmdump (mitmweb with --web)."
NOTHING_TO_MOCK = (
    "there is nothing to mock: this folder has no mocks.yaml, and CALLBACK_URL is not set. Name a mocks file (latehook "
    "run FILE) or a provider (latehook run --provider NAME), or set CALLBACK_URL to the URL of your system's webhook"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.usage, parser.description = USAGE, DESCRIPTION
    parser.add_argument("files", nargs="*", type=Path, metavar="FILE",
                        help="a mocks file; several work as one list. Default: mocks.yaml in this folder, or one mock "
                             "that CALLBACK_URL, DELAY and THIRD_PARTY set up")  # fmt: skip
    parser.add_argument("--provider", action="append", default=[], type=provider, metavar="NAME",
                        help="use the mocks of a real provider, see `latehook providers`; may be repeated")  # fmt: skip
    parser.add_argument("--web", action="store_true", help="start mitmweb, which opens a browser")
    parser.add_argument("--listen-host", default="127.0.0.1", metavar="HOST",
                        help="the address to listen at (default: 127.0.0.1)")  # fmt: skip
    parser.add_argument("-p", "--listen-port", type=port, metavar="PORT", help=f"its port (default: {PORT})")
    parser.add_argument("--confdir", type=Path, metavar="FOLDER",
                        help=f"the folder of mitmproxy's CA (default: {CONFDIR})")  # fmt: skip
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE",
                        help="an option of Latehook or mitmproxy; may be repeated")  # fmt: skip


def run(arguments: argparse.Namespace) -> int:
    """Run the proxy until it is stopped; return mitmproxy's exit status. Raises LatehookError."""
    program = import_module("latehook.proxy.program")  # imports mitmproxy
    try:
        status: int = program.run("mitmweb" if arguments.web else "mitmdump", mitmproxy_arguments(arguments))
    except SystemExit as end:
        if str(SCRIPTS / "mocks.yaml") in str(end.code) and "CALLBACK_URL is not set" in str(end.code):
            raise LatehookError(NOTHING_TO_MOCK) from None
        raise
    return status


def mitmproxy_arguments(arguments: argparse.Namespace) -> list[str]:
    """Return what mitmproxy's program gets. What the user passes to it comes last: its last value counts."""
    files: list[Path] = [*arguments.files, *arguments.provider]
    options = [f"mock_file={file}" for file in files]
    if arguments.confdir is not None:
        options.append(f"confdir={arguments.confdir}")
    options += arguments.set
    listen = ["--listen-host", arguments.listen_host]
    if arguments.listen_port is not None:
        listen += ["--listen-port", str(arguments.listen_port)]
    sets = [argument for option in options for argument in ("--set", option)]
    return ["-s", str(SCRIPTS / "run.py"), *listen, *sets, *arguments.passed]
