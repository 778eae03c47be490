"""The `--set mock_…` options: texts in, checked values out.

Each is declared as a list of texts whose last counts: an option of another type that is given twice, or is not a
number, switches an addon off without a word and lets the requests through.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from latehook.base.durations import parse_duration
from latehook.base.errors import OptionError
from latehook.base.text import did_you_mean
from latehook.delivery.dispatcher import DEFAULT_WORKERS
from latehook.store.address import Address, PostgresAddress, parse_address
from latehook.webhooks.targets import Targets, parse_targets

PREFIX = "mock_"

TOKEN_FOR_SEVERAL = (
    "start each with the same --set mock_token=TOKEN: behind a balancer, every client seems to be on one machine"
)
"""What processes that share a store need, and why."""

HELP = {
    "mock_file": "A mocks file; may be repeated. Default: ./mocks.yaml if it exists, else the one beside mock.py",
    "mock_keep": "How long ended jobs are kept. Default: 24h, at most 100,000",
    "mock_others": (
        "Hosts that no mock names: pass (their TLS stays as it is), intercept (as mitmproxy does it alone) or refuse "
        "(nothing leaves for them). Default: pass"
    ),
    "mock_seed": "Any text: ids, delays and whatever else is drawn are the same at every run. Default: random",
    "mock_speed": "How fast Latehook's clock runs: 60 is an hour a minute. Default: 1",
    "mock_store": (
        "A file, or postgresql://USER@HOST/DATABASE, that keeps jobs and what is owed through restarts. Default: memory"
    ),
    "mock_targets": (
        "Where webhooks may go besides this machine and private networks: a host, *.suffix, an address or a network, "
        "each with :PORT if need be, or *; or https://public=http://other:8000, which connects to the other instead. "
        "May be repeated. Default: none"
    ),
    "mock_token": (
        "Lets other machines use the control API, with `Authorization: Bearer TOKEN`. Several processes with one "
        "mock_store need it. Default: none"
    ),
    "mock_workers": f"Webhook attempts at once to one destination. Default: {DEFAULT_WORKERS}",
}


class Others(StrEnum):
    """What happens to connections and requests to hosts that no mock names."""

    PASS = "pass"  # what is in a tunnel passes as it is; plain HTTP is handled as mitmproxy does
    INTERCEPT = "intercept"  # all is handled as mitmproxy does
    REFUSE = "refuse"  # nothing leaves


@dataclass(frozen=True, slots=True)
class Options:
    """The options, checked."""

    files: tuple[Path, ...]
    keep: float
    others: Others
    seed: str | None
    speed: float
    store: Address
    workers: int
    targets: Targets
    token: str | None


def parse(given: Mapping[str, Sequence[str]], beside: Path) -> Options:
    """`given` is name → texts as given, `beside` the folder of mock.py. OptionError names option, value and remedy."""
    workers = _last(given, "mock_workers", str(DEFAULT_WORKERS))
    if not (workers.isascii() and workers.isdigit() and int(workers) > 0):
        raise OptionError(f"mock_workers={workers}: write a whole number from 1, such as {DEFAULT_WORKERS}")
    speed = _last(given, "mock_speed", "1")
    if not re.fullmatch(r"\d+(\.\d+)?", speed) or float(speed) == 0:
        raise OptionError(f"mock_speed={speed}: write a number more than 0, such as 60 for an hour a minute")
    here = Path("mocks.yaml")
    default = here if here.exists() else beside / "mocks.yaml"
    files = tuple(Path(file).expanduser() for file in given.get("mock_file") or ()) or (default,)
    store, seed = _store(_last(given, "mock_store", "")), _last(given, "mock_seed", "") or None
    if seed is not None and isinstance(store, PostgresAddress):
        problem = f"with mock_store={store}, several processes may draw, and which one gets a request is chance"
        raise OptionError(f"mock_seed={seed}: {problem}: leave mock_seed out, or name a file as mock_store")
    return Options(
        files=files,
        keep=_keep(_last(given, "mock_keep", "24h")),
        others=_others(_last(given, "mock_others", Others.PASS)),
        seed=seed,
        speed=float(speed),
        store=store,
        targets=_targets(given),
        workers=int(workers),
        token=_last(given, "mock_token", "") or None,
    )


def _keep(duration: str) -> float:
    try:
        return parse_duration(duration)
    except ValueError as error:
        raise OptionError(f"mock_keep={duration}: {error}") from None


def _store(value: str) -> Address:
    try:
        address = parse_address(value)
    except ValueError as error:
        raise OptionError(f"mock_store={error}") from None
    return str(Path(address).expanduser()) if isinstance(address, str) else address


def _others(value: str) -> Others:
    values = [each.value for each in Others]
    if value not in values:
        raise OptionError(f"mock_others={value}: write {', '.join(values)}{did_you_mean(value, values)}")
    return Others(value)


def _targets(given: Mapping[str, Sequence[str]]) -> Targets:
    try:
        return parse_targets(given.get("mock_targets") or ())
    except ValueError as error:
        raise OptionError(f"mock_targets={error}") from None


def check_names(names: Iterable[str]) -> None:
    """Refuse names that start with mock_ and are none of ours."""
    for name in sorted(names):
        if name.startswith(PREFIX) and name not in HELP:
            known = did_you_mean(name, HELP) or f"; the options are {', '.join(HELP)}"
            raise OptionError(f"the option {name} is not known{known}")


def _last(given: Mapping[str, Sequence[str]], name: str, default: str) -> str:
    values = given.get(name) or (default,)
    return values[-1].strip()
