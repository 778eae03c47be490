"""Print the variables that make a shell's programs use a proxy on this machine. scripts/env runs this."""

import argparse
import os
import shlex
from pathlib import Path

from ca_bundle import ca_bundle
from latehook.client.address import ProxyAddress


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="scripts/env", usage='eval "$(scripts/env [--port 8080] [--confdir ~/.mitmproxy])"'
    )
    parser.add_argument("--port", type=int, default=os.environ.get("PORT") or "8080")
    parser.add_argument("--confdir", type=Path, default=os.environ.get("CONFDIR") or "~/.mitmproxy")
    given = parser.parse_args()
    try:
        bundle = ca_bundle(given.confdir)
    except (OSError, RuntimeError) as error:  # RuntimeError: there is no home folder
        raise SystemExit(
            f"scripts/env: mitmproxy keeps its CA in {given.confdir}, which cannot be used ({error}): "
            "set CONFDIR to another folder"
        ) from None
    address = ProxyAddress("127.0.0.1", given.port, bundle)
    for name, value in address.env().items():
        print(f"export {name}={shlex.quote(value)}")


if __name__ == "__main__":
    main()
