"""Make the parts of an engine that are others where several processes share its store. Only then they are imported."""

from collections.abc import Callable

from latehook.base.notifier import Notifier
from latehook.engine.journal import Journal
from latehook.store.protocol import Store


def make_notifier(store: Store, real: Callable[[], float]) -> Notifier:
    """Return the notifier of a process with this store. `real` returns real time in Unix seconds."""
    if store.cluster is None:
        return Notifier()
    from latehook.engine.cluster_notifier import ClusterNotifier

    return ClusterNotifier(store.cluster, real)


def make_journal(store: Store, notifier: Notifier) -> Journal:
    """Return the journal of a process with this store. `notifier` is told of what it writes there."""
    if store.cluster is None or store.shared is None:
        return Journal()
    from latehook.engine.shared_journal import SharedJournal

    return SharedJournal(store.shared.journal, store.cluster, notifier.notify)
