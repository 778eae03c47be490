"""End a start that has failed. While mitmproxy winds down it still serves requests for a moment: none may leave."""

import sys
from typing import TYPE_CHECKING, NoReturn

from mitmproxy import ctx

if TYPE_CHECKING:
    from mitmproxy.proxy.server_hooks import ServerConnectionHookData


class BlockAll:
    """Refuse every connection to any server."""

    name = "latehook-block-all"

    def server_connect(self, data: "ServerConnectionHookData") -> None:
        data.server.error = "latehook: could not start"


def abort(reason: str) -> NoReturn:
    """Block all connections and end mitmproxy with exit status 1 and one line on standard error."""
    addons = ctx.master.addons
    if hasattr(addons, "chain"):
        addons.chain = [BlockAll(), *addons.chain]  # first: an addon before it could keep the hook to itself
    else:
        addons.add(BlockAll())
    sys.exit(f"latehook: {reason}")
