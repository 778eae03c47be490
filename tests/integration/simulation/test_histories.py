"""Several processes on one store, in simulated histories: what must hold in each of them, and what makes it hold.

tests/README.md says how to run many.
"""

import logging
import os
from collections.abc import Iterator, Sequence

import pytest

pytest.importorskip("asyncpg")
from latehook.base import logs
from latehook.store import membership
from support.simulation.history import Fault, History
from support.simulation.invariants import Broken
from support.simulation.server import instead_of_asyncpg
from support.simulation.tables import Guard

HISTORIES = int(os.environ.get("LATEHOOK_TEST_HISTORIES", "80"))
FIRST = int(os.environ.get("LATEHOOK_TEST_FIRST_HISTORY", "1"))

ENOUGH = 150
"""Histories in which an invariant must break whose condition is out."""


@pytest.fixture(autouse=True)
def simulated(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(logging.getLogger(logs.LOGGER), "disabled", True)  # it would cost more than the rest
    with instead_of_asyncpg():
        yield


@pytest.mark.timeout(0)  # there may be many
def test_what_must_hold_holds_in_every_history() -> None:
    for seed in range(FIRST, FIRST + HISTORIES):
        history = History(seed)
        try:
            history.run()
        except Exception as error:
            error.add_note(f"history {seed}:\n" + "\n".join(history.events))
            raise


def test_a_seed_gives_the_same_history_again() -> None:
    first, second = History(1), History(1)
    first.run()
    second.run()
    assert first.events == second.events


@pytest.mark.parametrize(
    ("guards", "faults", "broken"),
    [
        ([Guard.TAKE_OVER], [History.crash], "never delivered"),
        ([Guard.LEASE], [History.post_twice], "is sent again, though no fault has cut"),
        ([Guard.BEGUN], [History.pause, History.advance], "two processes begin attempt"),
        ([Guard.OWNER, Guard.BEGUN, Guard.NUMBER], [History.pause, History.advance], "two processes begin attempt"),
        ([Guard.ALIVE, Guard.OWNER], [History.pause, History.post_twice], "that was declared dead begins attempt"),
        ([Guard.HOLD, Guard.APPLIED], [History.hold, History.lose_notices], "begins after a hold has returned"),
        ([Guard.APPLIED], [History.add_mocks, History.lose_notices], "whose mocks were added"),
        ([Guard.APPLIED], [History.reset, History.lose_notices], "which a reset has forgotten"),
        ([Guard.ORDER], [History.advance], "before the first attempt of the stage before it has ended"),
        ([Guard.COUNT], [History.ask_limited], "a mock with `times: 3` answers 4"),
        ([Guard.IDEMPOTENCY], [History.post_twice], "has two jobs"),
    ],
)
def test_without_its_condition_an_invariant_breaks(
    guards: Sequence[Guard], faults: Sequence[Fault], broken: str
) -> None:
    assert breaks(broken, guards, faults)


def test_a_process_that_trusts_its_lease_too_long_answers_when_it_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(membership, "FRESH", 1000.0)
    assert breaks("answers though its lease is over", [], [History.pause])


def breaks(broken: str, without: Sequence[Guard], faults: Sequence[Fault]) -> bool:
    """Return whether an invariant breaks in one of some histories."""
    for seed in range(1, ENOUGH):
        try:
            History(seed, without, faults).run()
        except Broken as error:
            if broken in str(error):
                return True
        except Exception:  # an error may come before it
            continue
    return False
