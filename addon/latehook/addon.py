"""The entry point that mock.py uses."""

from pathlib import Path

from mitmproxy import ctx
from mitmproxy.addonmanager import Loader

from latehook.proxy import supported
from latehook.proxy.abort import abort


class Door:
    """What mock.py holds. mitmproxy makes it anew at every edit of mock.py; it starts Latehook once.

    If it `introduces` the proxy, the terminal shows how to use it, once it is ready.
    """

    name = "latehook-door"

    def __init__(self, script: str, introduces: bool = False) -> None:
        self._folder = Path(script).parent
        self._introduces = introduces

    def load(self, loader: Loader) -> None:
        """Start Latehook, or end mitmproxy: if this raised an exception, mitmproxy would go on and let requests out."""
        if ctx.master.addons.get("latehook") is not None:
            return
        try:
            supported.check()
            from latehook import wiring  # only now: it needs names that other versions of mitmproxy lack
        except BaseException as error:
            abort(supported.explain(error))
        wiring.start(ctx.master, loader, self._folder, self._introduces)
