"""How mitmproxy shows what Latehook does: its commands, and whether anybody looks."""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from mitmproxy import command
from mitmproxy.master import Master

from latehook.model import LatehookError, Owed
from latehook.operations import Operations
from latehook.selection import ALL

log = logging.getLogger(__name__)

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


def attention(master: Master) -> Attention:
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


def place(master: Master, addon: Any, first: bool) -> None:
    """Put our addon first, where nobody acts on flows: what it answers then need not pass forty addons.

    Else behind the scripts' place: behind those that refuse requests, before those that choose layers and TLS.
    `chain` is public in mitmproxy, but its order is not documented to be ours to change: only this function does.
    """
    others = [other for other in master.addons.chain if other is not addon]
    at = 0 if first else 1 + others.index(master.addons.get("scriptloader"))
    master.addons.chain = [*others[:at], addon, *others[at:]]


class Commands:
    """The operations as mitmproxy's commands `mock.…`. Each is carried out later; the log says what came of it."""

    name = "latehook-commands"

    def __init__(self, operations: Callable[[], Operations]) -> None:
        self._operations = operations
        self._running: set[asyncio.Task[None]] = set()

    @command.command("mock.pending")
    def pending(self) -> Sequence[str]:
        """The webhooks still owed: id, state, seconds to go, target, job."""
        return [self._line(owed) for owed in self._operations().pending()]

    @command.command("mock.hold")
    def hold(self, id: str = "") -> None:
        """Nothing starts: of one webhook, or of any."""
        self._run(self._operations().hold(id or ALL), f"hold {id}")

    @command.command("mock.release")
    def release(self, id: str = "") -> None:
        """What was held goes out."""
        self._run(self._operations().release(id or ALL), f"release {id}")

    @command.command("mock.fire")
    def fire(self, id: str) -> None:
        """Send a webhook now, and move its job to its stage."""
        self._run(self._operations().fire(id), f"fire {id}")

    @command.command("mock.cancel")
    def cancel(self, id: str = "") -> None:
        """A webhook, or all that are owed, are not sent any more."""
        self._run(self._operations().cancel(id or ALL), f"cancel {id}")

    @command.command("mock.resend")
    def resend(self, id: str) -> None:
        """Send an ended webhook again."""
        self._run(self._operations().resend(id), f"resend {id}")

    @command.command("mock.advance")
    def advance(self, duration: str, job: str = "") -> None:
        """All that becomes due in this time happens now: of all jobs, or of one."""
        self._run(self._advance(duration, job or None), f"advance {duration} {job}")

    @command.command("mock.reset")
    def reset(self) -> None:
        """As if it had just started."""
        self._run(self._operations().reset(), "reset")

    async def _advance(self, duration: str, job: str | None) -> str:
        left = await self._operations().advance(duration, job)
        return f"; not in time: {', '.join(owed.webhook.id for owed in left)}" if left else ""

    def _run(self, operation: Coroutine[Any, Any, object], name: str) -> None:
        async def run() -> None:
            try:
                result = await operation
            except LatehookError as error:
                log.warning("latehook: %s: %s", name.strip(), error)
            else:
                log.info("latehook: %s: done%s", name.strip(), result if isinstance(result, str) else "")

        task = asyncio.get_running_loop().create_task(run(), name=f"latehook: {name}")
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    def _line(self, owed: Owed) -> str:
        webhook = owed.webhook
        return f"{webhook.id} {webhook.state} {self._operations().to_go(owed):.1f} s {webhook.to} (job {owed.job.id})"
