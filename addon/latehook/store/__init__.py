"""Jobs, webhooks and attempts in a database: the only package with SQL.

`protocol.py` says what a store does. Each database has a package of its own, which is imported where it is used.
"""

from latehook.base.errors import StoreError, UnstorableError
from latehook.store.protocol import MEMORY, Committed, Due, Match, Store

__all__ = ["MEMORY", "Committed", "Due", "Match", "Store", "StoreError", "UnstorableError"]
