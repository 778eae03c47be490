"""Who looks at flows and log lines besides Latehook, and where in mitmproxy's chain of addons it stands."""

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from mitmproxy.log import LegacyLogEvents
from mitmproxy.master import Master

from latehook.base import logs

_ACTING = (
    *("proxyauth", "block_list", "map_local", "map_remote", "modify_body", "modify_headers"),
    *("stickyauth", "stickycookie", "server_replay", "intercept"),
)
_SAVING = ("save_stream_file", "hardump")


@dataclass(frozen=True, slots=True)
class Attention:
    """Who sees flows besides Latehook: `acts` may change them, `looks` shows or saves each step of them, `lists` keeps
    a list, `prints` writes them out when they have ended.
    """

    acts: bool
    looks: bool
    lists: bool
    prints: bool


def of(master: Master) -> Attention:
    """By mitmproxy's options and addons. It costs microseconds an option: ask when they change, not at each flow."""
    options = master.options

    def is_set(names: Iterable[str]) -> bool:
        return any(name in options and getattr(options, name) for name in names)

    lists = master.addons.get("view") is not None
    prints = master.addons.get("dumper") is not None and options.flow_detail > 0
    return Attention(
        acts=is_set(_ACTING) or len(options.scripts) > 1 or any(map(_is_foreign, master.addons.chain)),
        looks=lists or is_set(_SAVING),
        lists=lists,
        prints=prints,
    )


def _is_foreign(addon: Any) -> bool:
    """An addon of somebody else's, put into a master by a program."""
    return type(addon).__module__.partition(".")[0] not in ("mitmproxy", "latehook")


class Unheard(logging.Filter):
    """Keeps our lines from the deprecated hook `add_log`, where nobody is there who could have it.

    mitmproxy makes a turn of the loop for each line, and asks forty addons: a twentieth of what a whole job costs.
    """

    def __init__(self, heard: Callable[[], bool]) -> None:
        super().__init__()
        self._heard = heard

    def filter(self, record: logging.LogRecord) -> bool:
        return record.name != logs.LOGGER or self._heard()

    def install(self, master: Master) -> None:
        for handler in logging.getLogger().handlers:
            if isinstance(handler, LegacyLogEvents) and handler.master is master:
                handler.addFilter(self)


def place(master: Master, addon: Any, first: bool) -> None:
    """Put our addon first, where nobody acts on flows: what it answers then need not pass forty addons.

    Else behind the scripts' place: behind those that refuse requests, before those that choose layers and TLS.
    `chain` is public in mitmproxy, but its order is not documented to be ours to change: only this function does.
    """
    others = [other for other in master.addons.chain if other is not addon]
    at = 0 if first else 1 + others.index(master.addons.get("scriptloader"))
    master.addons.chain = [*others[:at], addon, *others[at:]]
