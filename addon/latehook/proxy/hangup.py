"""End mitmproxy on SIGHUP as on SIGTERM: a terminal or an SSH session that closes sends it."""

import asyncio
import logging
import signal

from mitmproxy.master import Master

from latehook.base import logs

log = logging.getLogger(logs.LOGGER)


def stop_on_hangup(master: Master) -> None:
    """Shut `master` down on SIGHUP. A process that ignores the signal (`nohup`), or handles it, is left as it is."""
    if not hasattr(signal, "SIGHUP") or signal.getsignal(signal.SIGHUP) is not signal.SIG_DFL:
        return

    def stop() -> None:
        log.warning("latehook: SIGHUP: the terminal or session has ended, so the proxy ends, too")
        master.shutdown()

    try:
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, stop)
    except (NotImplementedError, RuntimeError, ValueError):
        log.debug("latehook: SIGHUP cannot be handled in this thread or on this system")
