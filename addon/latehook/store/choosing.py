"""Make the store that the option `mock_store` names. Each database's package is imported only for its own stores."""

from latehook.base.errors import StoreError
from latehook.base.redaction import Redaction
from latehook.store.address import Address, PostgresAddress
from latehook.store.protocol import Store


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
