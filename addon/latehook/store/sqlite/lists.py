"""Lists as parameters of SQL statements."""

from collections.abc import Iterable
from typing import Any

import msgspec


def as_list(values: Iterable[Any]) -> str:
    """Return values as one JSON list, for `IN (SELECT value FROM json_each(?))`: SQL limits the number of `?`."""
    return msgspec.json.encode(list(values)).decode()
