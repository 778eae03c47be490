"""What a webhook that is due waits for."""

from latehook.base.clock import Clock
from latehook.base.notifier import Notifier
from latehook.delivery.results import PendingResults
from latehook.delivery.waiting import Waiting
from latehook.store import Due
from latehook.store.group_commit import GroupCommit
from latehook.store.shared_state import SharedState
from latehook.store.sqlite import SqliteStore
from latehook.store.world import World

FIRST, SECOND = 1, 2
SECOND_DUE = Due(0.0, "http://app.test/hook", (FIRST,), 7, 1, False, "hash", 0, 0)


async def nothing(before: World, world: World) -> None:
    pass


def test_a_webhook_does_not_wait_for_an_attempt_that_ends_while_the_store_is_asked() -> None:
    store = SqliteStore()
    commits = GroupCommit(store, Notifier())
    waiting, results = Waiting(SharedState(store, commits, Clock(), nothing)), PendingResults(store, commits)

    waiting.reading()
    waiting.attempt_ended(FIRST)  # by another connection than the one that reads
    assert not waiting.stops(SECOND, SECOND_DUE, results)

    waiting.reading()
    assert waiting.stops(SECOND, SECOND_DUE, results)
    assert waiting.after_first_attempt(FIRST) == [SECOND]
