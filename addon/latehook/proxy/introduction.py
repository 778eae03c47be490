"""What a terminal shows when the proxy of `latehook run` is ready: where it is, and how to use and stop it."""

import logging
import os
import shlex
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from mitmproxy.options import Options

from latehook.base import logs
from latehook.base.installation import SCRIPTS, command
from latehook.proxy import listeners
from latehook.proxy.certificates import Certificates

log = logging.getLogger(logs.LOGGER)

_QUIET = ("error", "warn")
_DEFAULT_HOST, _DEFAULT_PORT, _DEFAULT_CONFDIR = "127.0.0.1", 8080, "~/.mitmproxy"


def show(options: Options, hosts: str, files: Sequence[Path]) -> None:
    """Print it, unless mitmproxy is to be quiet. Write the certificates for clients.

    Args:
        options: mitmproxy's options.
        hosts: The mocked hosts, as a text.
        files: The mocks files.
    """
    certificates = Certificates(Path(options.confdir))
    try:
        bundle = certificates.write_bundle()
    except OSError as error:
        log.warning("latehook: the certificates for clients cannot be written: %s", error)
        bundle = certificates.bundle_file
    if options.termlog_verbosity not in _QUIET:
        rows = [*_addresses(bundle), ("mocked", f"{hosts} ({', '.join(map(_name, files))})")]
        lines = ["", *(f"  {name:14}{value}" for name, value in rows), *_shell_lines(options.confdir)]
        text = "\n".join([*lines, "  Ctrl-C stops the proxy.", ""])
        encoding = sys.stdout.encoding or "utf-8"
        print(text.encode(encoding, "backslashreplace").decode(encoding), flush=True)


def _addresses(bundle: Path) -> Iterator[tuple[str, str]]:
    """Yield the rows about the proxy's addresses."""
    yield from listeners.addresses()
    yield "certificates", str(bundle)
    if (page := listeners.page_url()) is not None:
        yield "page", page


def _shell_lines(confdir: str) -> list[str]:
    """Return the lines that say how a shell's programs use the proxy; none if it is no explicit proxy."""
    proxy = listeners.explicit_proxy()
    if proxy is None:
        return []
    host, port = proxy
    arguments = ["--host", host] if host != _DEFAULT_HOST else []
    arguments += ["--port", str(port)] if port != _DEFAULT_PORT else []
    arguments += ["--confdir", os.path.abspath(os.path.expanduser(confdir))] if confdir != _DEFAULT_CONFDIR else []
    rest = "".join(f" {shlex.quote(argument)}" for argument in arguments)
    uses = [
        (f'eval "$({command()} env{rest})"', "in sh, bash, zsh"),
        (f"{command()} env fish{rest} | source", "in fish"),
    ]
    if os.name == "nt":
        uses = [(f"{command()} env powershell{rest} | Out-String | Invoke-Expression", "in PowerShell")]
    width = max(len(line) for line, _ in uses)
    lines = [f"    {line:{width}}   {shell}" for line, shell in uses]
    return ["", "  A shell uses it after this line; start your system there:", *lines, ""]


def _name(file: Path) -> str:
    """Return the name of a mocks file for the user. Files of the installation have short ones."""
    if file == SCRIPTS / "mocks.yaml":
        return "the built-in example"
    return file.stem if SCRIPTS / "providers" in file.parents else str(file)
