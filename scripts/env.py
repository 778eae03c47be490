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
    address = ProxyAddress("127.0.0.1", given.port, ca_bundle(given.confdir))
    for name, value in address.env().items():
        print(f"export {name}={shlex.quote(value)}")


if __name__ == "__main__":
    main()
