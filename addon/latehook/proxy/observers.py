"""Which addons of mitmproxy notice a mocked request besides Latehook."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from mitmproxy.master import Master

from latehook.proxy import compat

_MODIFYING = (
    *("proxyauth", "block_list", "map_local", "map_remote", "modify_body", "modify_headers"),
    *("stickyauth", "stickycookie", "server_replay", "intercept"),
)
_RECORDING = ("save_stream_file", "hardump")


@dataclass(slots=True)
class Observers:
    """What other addons do with flows, by mitmproxy's options and addons.

    `modifies`: one may change a flow, refuse it or act on it. `records`: one shows or saves each step of a flow.
    `lists`: one keeps a list of flows. `prints`: one prints flows that have ended.
    """

    modifies: bool = True
    records: bool = True
    lists: bool = True
    prints: bool = True

    def update(self, master: Master) -> None:
        """Look at the options and addons again. Call it when they change: reading an option takes microseconds."""
        options = master.options

        def is_set(names: Iterable[str]) -> bool:
            return any(name in options and getattr(options, name) for name in names)

        has_foreign = any(map(_is_foreign, compat.chain(master)))
        self.modifies = is_set(_MODIFYING) or len(options.scripts) > 1 or has_foreign
        self.lists = master.addons.get("view") is not None
        self.records = self.lists or is_set(_RECORDING)
        self.prints = master.addons.get("dumper") is not None and options.flow_detail > 0


def _is_foreign(addon: Any) -> bool:
    """Return whether an addon is neither mitmproxy's nor Latehook's: a program has added it."""
    return type(addon).__module__.partition(".")[0] not in ("mitmproxy", "latehook")
