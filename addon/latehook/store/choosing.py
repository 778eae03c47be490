"""Make the store that `mock_store` names, and its state. What only some databases need is imported only for them."""

from latehook.base.clock import Clock
from latehook.base.errors import StoreError
from latehook.base.redaction import Redaction
from latehook.store.address import Address, PostgresAddress
from latehook.store.group_commit import GroupCommit
from latehook.store.protocol import Store
from latehook.store.shared_state import Apply, SharedState


def make_store(address: Address, redaction: Redaction) -> Store:
    """Return the store at an address. Raises StoreError where it cannot be used, or needs a package that is missing."""
    if not isinstance(address, PostgresAddress):
        from latehook.store.sqlite import SqliteStore

        return SqliteStore(address, redaction)
    try:
        from latehook.store.postgresql import PostgresStore
    except ModuleNotFoundError as error:
        remedy = "install it beside mitmproxy: pip install 'latehook[postgres]'"
        raise StoreError(f"mock_store={address}: the package {error.name} is missing: {remedy}") from None
    return PostgresStore(address, redaction)


def make_state(store: Store, commits: GroupCommit, clock: Clock, apply: Apply) -> SharedState:
    """Return the state of a process with this store, which other processes may share. `apply` acts on its changes."""
    if store.cluster is None or store.shared is None:
        return SharedState(store, commits, clock, apply)
    from latehook.store.cluster_state import ClusterState

    return ClusterState(store, commits, clock, apply, store.cluster, store.shared.world)
