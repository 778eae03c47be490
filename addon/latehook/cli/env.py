"""The command `latehook env`: prints the environment variables of programs that use the proxy, for a shell."""

import argparse
import json
import re
import shlex
from collections.abc import Callable, Mapping
from pathlib import Path

from latehook.base.errors import LatehookError
from latehook.cli.arguments import CONFDIR, PORT, port
from latehook.client.address import NO_PROXIES, ProxyAddress

DESCRIPTION = """\
Prints the environment variables with which programs use the proxy and trust its certificate. It need not run yet.

  eval "$(latehook env)"                                          in sh, bash, zsh
  latehook env fish | source                                      in fish
  latehook env powershell | Out-String | Invoke-Expression        in PowerShell
  latehook env dotenv >> .env                                     for .env files
  latehook env compose                                            for a service beside one named latehook
"""


def _sh(name: str, value: str) -> str:
    return f"export {name}={shlex.quote(value)}"


def _fish(name: str, value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"set -gx {name} '{escaped}'"


def _powershell(name: str, value: str) -> str:
    escaped = re.sub("(['\u2018-\u201b])", r"\1\1", value)  # PowerShell takes typographic quotes for quotes, too
    return f"$env:{name} = '{escaped}'"


def _dotenv(name: str, value: str) -> str:
    """Quote only what needs it: `docker run --env-file` reads quotes as a part of the value."""
    if re.fullmatch(r"[\w@%+=:,./-]*", value):
        return f"{name}={value}"
    if "'" not in value:
        return f"{name}='{value}'"
    escaped = re.sub(r'(["\\$`])', r"\\\1", value)
    return f'{name}="{escaped}"'


def _compose(name: str, value: str) -> str:
    return f"  {name}: {json.dumps(value.replace('$', '$$'), ensure_ascii=False)}"


FORMATS: Mapping[str, Callable[[str, str], str]] = {
    "sh": _sh,
    "bash": _sh,
    "zsh": _sh,
    "fish": _fish,
    "powershell": _powershell,
    "dotenv": _dotenv,
    "compose": _compose,
}
"""For each format, how it sets a variable."""

IN_COMPOSE = "latehook", Path("/ca/latehook-ca-bundle.pem")
"""The proxy's host, and the file of the certificates, as the containers of the recipe for docker compose see them."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.description = DESCRIPTION
    parser.add_argument("format", nargs="?", default="sh", choices=[*FORMATS], metavar="FORMAT",
                        help=f"{', '.join(FORMATS)} (default: sh)")  # fmt: skip
    parser.add_argument("--host", help="the proxy's host (default: 127.0.0.1; for compose, latehook)")
    parser.add_argument("-p", "--port", type=port, default=PORT, help=f"the proxy's port (default: {PORT})")
    parser.add_argument("--confdir", type=Path, default=Path(CONFDIR), metavar="FOLDER",
                        help=f"the folder of mitmproxy's CA, as the proxy has it (default: {CONFDIR})")  # fmt: skip
    parser.add_argument("--ca", type=Path, metavar="FILE",
                        help="the certificates, where the programs find them (default: a file that is written to the "
                             f"folder; for compose, {IN_COMPOSE[1]})")  # fmt: skip
    parser.add_argument("--no-proxy", action="append", default=[], metavar="HOST",
                        help="a host to reach without the proxy, besides localhost; may be repeated")  # fmt: skip


def run(arguments: argparse.Namespace) -> int:
    """Print a line for each variable. Raises LatehookError."""
    is_compose = arguments.format == "compose"
    host, ca = IN_COMPOSE if is_compose else ("127.0.0.1", None)
    ca = arguments.ca or ca or _write_bundle(arguments.confdir)
    variables = ProxyAddress(arguments.host or host, arguments.port, ca).env()
    for name in NO_PROXIES:
        variables[name] = ",".join([variables[name], *arguments.no_proxy])
    if is_compose:
        print("environment:")
    for name, value in variables.items():
        print(FORMATS[arguments.format](name, value))
    return 0


def _write_bundle(confdir: Path) -> Path:
    from latehook.proxy.certificates import Certificates  # takes a while

    try:
        return Certificates(confdir).write_bundle()
    except (OSError, RuntimeError) as error:  # RuntimeError: there is no home folder
        problem = f"mitmproxy keeps its CA in this folder, which cannot be used ({error})"
        raise LatehookError(f"--confdir {confdir}: {problem}: name another one") from None
