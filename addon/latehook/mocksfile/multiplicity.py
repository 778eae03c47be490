"""Compiles `each` and `repeat`: how many webhooks a stage sends. Every error has the place of the key that is wrong."""

from typing import Any

from msgspec import UNSET, UnsetType

from latehook.base.durations import Delay
from latehook.expressions.expression import Expression, Names
from latehook.expressions.names import INDEX, ITEM
from latehook.mocks.definitions import RepeatSpec
from latehook.mocks.jobs import MAX_WEBHOOKS
from latehook.mocks.stages import MAX_REPETITIONS
from latehook.mocksfile.entries import MockEntry, RepeatEntry, StageEntry
from latehook.mocksfile.shared_entries import BEFORE_RESPONSE
from latehook.mocksfile.source import KeyPath
from latehook.mocksfile.values import Values


def check_each(values: Values, entry: MockEntry | StageEntry, path: KeyPath) -> None:
    """Refuse an `each` without a webhook beside it."""
    if entry.each is not UNSET and (entry.webhook is UNSET or entry.webhook is False):
        raise values.error((*path, "each"), "there is no `webhook` beside it: write one, or remove `each`")


def compile_each(values: Values, each: Any, path: KeyPath, names: Names) -> Any:
    """Return the list, or the expression that gives it; None where there is none."""
    if each is UNSET:
        return None
    compiled = values.condition(each, path, names)
    if isinstance(compiled, Expression):
        return compiled
    if not isinstance(compiled, list):
        raise values.error(path, f"{compiled!r} is not a list: write a list, or an expression that gives one")
    if len(compiled) > MAX_WEBHOOKS:
        raise values.error(path, f"the list has {len(compiled):,} items, and may have {MAX_WEBHOOKS:,}")
    return compiled


def compile_repeat(values: Values, stage: StageEntry, path: KeyPath, names: Names, is_last: bool) -> RepeatSpec | None:
    """Return how a stage repeats its webhook; None if it does not. `is_last`: no other stage follows."""
    repeat = stage.repeat
    if isinstance(repeat, UnsetType):
        return None
    path = (*path, "repeat")
    if not stage.webhook:
        raise values.error(path, "this stage has no `webhook` to repeat: write one, or remove `repeat`")
    if stage.after == BEFORE_RESPONSE:
        raise values.error(path, "a stage before the response cannot be repeated: write another time in its `after`")
    if is_last and repeat.times is UNSET:
        raise values.error(path, "it would never end: write `times`, or a stage behind this one")
    every = values.time(repeat.every, (*path, "every"), names)
    if every == Delay("fixed", 0.0):
        raise values.error((*path, "every"), "the time between two webhooks is 0 s: write more")
    return RepeatSpec(every, _times(values, repeat, (*path, "times"), names), values.place(path))


def _times(values: Values, repeat: RepeatEntry, path: KeyPath, names: Names) -> Any:
    if repeat.times is UNSET:
        return None
    times = values.compile(repeat.times, path, names)
    if isinstance(times, Expression):
        return times
    if isinstance(times, str) and times.isascii() and times.isdigit():
        times = int(times)
    if not isinstance(times, int) or isinstance(times, bool) or not 1 <= times <= MAX_REPETITIONS:
        raise values.error(path, f"{times!r} is not a number of webhooks: write 1 to {MAX_REPETITIONS:,}")
    return times


def names_of(each: Any, repeat: RepeatSpec | None) -> Names:
    """Return the names that `each` and `repeat` give to the expressions of a webhook."""
    item = {} if each is None else ITEM
    return {} if each is None and repeat is None else {**item, **INDEX}
