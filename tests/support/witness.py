"""A witness in the proxy's process: an audit hook that writes every name lookup and every connection to a file."""

from pathlib import Path

_AUDIT_HOOK = """
import os, sys

file = os.open(os.environ["AUDIT_FILE"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)

def write_event(event, arguments):
    if event in ("socket.getaddrinfo", "socket.gethostbyname"):
        os.write(file, f"look up {arguments[0]}\\n".encode())
    elif event in ("socket.connect", "socket.sendto"):
        os.write(file, f"connect to {arguments[1]}\\n".encode())

sys.addaudithook(write_event)
"""


class Witness:
    """The lookups and connections of the proxy since the last `forget`. Start the proxy with `env`."""

    def __init__(self, folder: Path) -> None:
        (folder / "sitecustomize.py").write_text(_AUDIT_HOOK)
        self._file = folder / "events"
        self._file.touch()
        self._start = 0
        self.env = {"PYTHONPATH": str(folder), "AUDIT_FILE": str(self._file)}

    def forget(self) -> None:
        self._start = self._file.stat().st_size

    @property
    def events(self) -> list[str]:
        """Each event as `look up HOST` or `connect to ADDRESS`."""
        return self._file.read_bytes()[self._start :].decode().splitlines()
