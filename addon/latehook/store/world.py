"""PURE: the world: the values that all jobs share and that operations change."""

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

CLOCK, HOLDING, VARS, ADDED = "clock", "holding", "vars", "added mocks"
PARTS = (CLOCK, HOLDING, VARS, ADDED)
"""The names under which a store has the parts of a world."""


class ClockSetting(Struct, frozen=True):
    """The clock showed `moment` at `real`, both in Unix seconds, and has run at `speed` since."""

    moment: float
    real: float
    speed: float

    def at(self, real: float) -> float:
        """Return what the clock shows at a moment of real time. Before `real`, no time has passed."""
        return self.moment + max(real - self.real, 0.0) * self.speed


class AddedMocks(Struct, frozen=True):
    """Mocks that were added while the proxy ran: what is needed to compile them again.

    `text` is that of a mocks file, and `file` its name in errors; None: it has none. `variables` are the names of the
    variables that there were. `files` are the names and contents of the files that the text names.
    """

    text: str
    file: str | None = None
    variables: tuple[str, ...] = ()
    files: tuple[tuple[str, bytes], ...] = ()


class World(Struct, frozen=True):
    """`holding`: no webhook starts, unless an operation sends it. `vars` has only the variables that were set.

    `added` has the mocks that were added, the last ones first. `resets` counts the resets: after one, everything that
    jobs have left in memory is forgotten.
    """

    clock: ClockSetting
    holding: bool = False
    vars: Mapping[str, Any] = {}
    added: tuple[AddedMocks, ...] = ()
    resets: int = 0

    def changes(self, before: "World") -> dict[str, Any]:
        """Return what a store has of the parts that were replaced since `before`, as plain data by name.

        A part counts as replaced if it is another object: 1.0 and 1.00 are equal, and are not sent alike.
        """
        replaced: dict[str, Any] = {}
        if self.clock is not before.clock:
            replaced[CLOCK] = [(self.clock.moment, self.clock.real, self.clock.speed)]
        for name, now, then in (
            (HOLDING, self.holding, before.holding),
            (VARS, self.vars, before.vars),
            (ADDED, self.added, before.added),
        ):
            if now is not then:
                replaced[name] = now
        return replaced
