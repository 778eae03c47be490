"""Makes the synchronous client from the asynchronous one: `async` and `await` go, and names and words change."""

import re
import subprocess
import sys
from pathlib import Path

CLIENT = Path(__file__).parent.parent / "addon" / "latehook" / "client"
SOURCE, TARGET = CLIENT / "aio.py", CLIENT / "sync.py"
HEADER = "# Made from aio.py by scripts/unasync. Edit that file, then run the script.\n"
DOCSTRING = '"""The synchronous client: for tests and scripts that wait for each result."""\n'

REPLACEMENTS = (
    (r'\A""".*?"""\n', DOCSTRING),
    (r"\basync (?=(?:def|with|for)\b)", ""),
    (r"\bawait ", ""),
    (r"\blatehook\.aio\.", "latehook."),
    (r"\bThe asynchronous client\b", "The client"),
    (r"\bAsyncIterator\b", "Iterator"),
    (r"\basynccontextmanager\b", "contextmanager"),
    (r"\brun_proxy_async\b", "run_proxy"),
    (r"\blatehook\.client\.session\b", "latehook.client.sync_session"),
    (r"\bAsyncSession\b", "SyncSession"),
    (r"\bAsyncTransport\b", "Transport"),
    (r"\bAsyncLatehook\b", "Latehook"),
)


def sync_source() -> str:
    """Return the source of the synchronous client, formatted."""
    text = SOURCE.read_text()
    for pattern, replacement in REPLACEMENTS:
        text = re.sub(pattern, replacement, text, flags=re.DOTALL)
    text = _ruff("check", "--select", "I", "--fix", "--quiet", text=HEADER + text)
    return _ruff("format", text=text)


def _ruff(*arguments: str, text: str) -> str:
    command = [str(Path(sys.executable).with_name("ruff")), *arguments, "--stdin-filename", str(TARGET), "-"]
    return subprocess.run(command, input=text, capture_output=True, text=True, check=True).stdout


if __name__ == "__main__":
    TARGET.write_text(sync_source())
