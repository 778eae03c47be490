"""Run one of mitmproxy's programs in this process."""

import sys
from collections.abc import Sequence

from mitmproxy.tools import main


def run(name: str, arguments: Sequence[str]) -> int:
    """Run `mitmdump` or `mitmweb` with these arguments until it ends; return its exit status. May raise SystemExit."""
    sys.argv = [name, *arguments]  # mitmproxy's messages name the program by it
    return {"mitmdump": main.mitmdump, "mitmweb": main.mitmweb}[name](arguments) or 0
