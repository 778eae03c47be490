"""The proxy's own process, run by its path: the mitmdump of this interpreter, ended with whoever started it."""

import os
import signal
import threading
from importlib.metadata import entry_points


def _end_with_parent() -> None:
    """The other end of stdin closes when the parent has ended, however it ended: it leaves no proxy behind."""
    os.read(0, 1)  # not through sys.stdin: a thread that waits there would not let the interpreter end
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    threading.Thread(target=_end_with_parent, daemon=True).start()
    [mitmdump] = entry_points(group="console_scripts", name="mitmdump")
    mitmdump.load()()
