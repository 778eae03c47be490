"""Latehook stands in for a slow third party: it answers at once and calls the webhook back later.

For tests: `connect` and `start`, and `aio` with the same, awaitable.

Rooms, top to bottom; imports go down only:
cli (the console command) · pytest_plugin (the fixture) · client (of the control API)
addon (mitmproxy's hooks) · conversion (from flows, and to them) · bridge (from a flow to the control API)
guard (what is intercepted) · naming (hosts) · layers (mitmproxy's HTTP layers, ours) · http1 (its HTTP/1 connection)
faults (toward the client) · attention (who looks) · flows (attempts, for those) · commands (mitmproxy's)
control (the HTTP API) · authorities (what clients trust)
operations (what a tester may do) · advancing (of the clock) · lists (what there is)
engine (requests and what they start) · inbox (the last requests) · outbox (webhooks on their way out)
ledger (what became of them) · commits (one a turn of the loop) · changes (who waits for one)
options (--set) · delivery (attempts) · sender · transport (the HTTP client)
connections (to receivers) · advance (what it waits for)
schedule (what is due when) · store (SQLite) · reload (hot edits) · logs (lines without secrets)
mocksfile (YAML to checked, compiled mocks)
selection (which of them somebody means)
service (the pure heart) · mocks (what each says) · refusals (where no mock answers) · messages (what is said)
plans (of messages) · retries · signing · presets (known providers) · targets (where webhooks may go)
scope (what expressions see) · views (of requests, jobs) · forms · compiler (of expressions) · expressions (evaluated)
sandbox (of Jinja) · filters · data (what they give) · limits (of an evaluation)
hosts (what is mocked) · matching · durations · timestamps · bodies · redaction (secrets hidden) · model (the words)
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from latehook.client import aio as aio
    from latehook.client.sync import connect as connect
    from latehook.client.sync import start as start


def __getattr__(name: str) -> Any:
    """The client is imported when it is asked for: within mitmdump nobody does."""
    if name == "aio":
        return import_module("latehook.client.aio")
    if name in ("connect", "start"):
        return getattr(import_module("latehook.client.sync"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
