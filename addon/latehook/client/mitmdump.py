"""Runs mitmdump of this interpreter, and ends with its parent process. process.py runs this file by its path."""

import os
import signal
import threading
from importlib.metadata import entry_points


def _end_with_parent() -> None:
    """Wait until stdin closes, and end this process then: the parent's end of it closes however the parent ends."""
    os.read(0, 1)  # not through sys.stdin: a thread that waits there keeps the interpreter from ending
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    threading.Thread(target=_end_with_parent, daemon=True).start()
    [mitmdump] = entry_points(group="console_scripts", name="mitmdump")
    mitmdump.load()()
