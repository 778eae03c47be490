"""PURE: which jobs, webhooks or requests somebody means: the filters of every list, wait and operation on several."""

from collections.abc import Iterable, Mapping
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from latehook.base.errors import ExpressionError, MocksError, Place, SelectionError
from latehook.base.model import Criteria, State
from latehook.base.text import did_you_mean
from latehook.expressions.compiler import Compiler, in_braces
from latehook.expressions.expression import Names, render
from latehook.expressions.names import AT_LOAD, JOB, REQUEST, WEBHOOK

FILTERS = ("job", "mock", "event", "state", "where")


REQUESTS: Names = {**AT_LOAD, **REQUEST, "now": None}
JOBS: Names = {**REQUESTS, **JOB}
WEBHOOKS: Names = {**JOBS, **WEBHOOK}
"""The names that `where` may use, by what is chosen from."""


class Where:
    """An expression that decides. One that fails for some is false for them; `failed` is why, for the last of these."""

    def __init__(self, text: str, names: Names, variables: Iterable[str], env: Mapping[str, str]) -> None:
        compiler = Compiler(env)
        try:
            self._condition = compiler.compile(in_braces(text), _PLACE, {**names, "vars": dict.fromkeys(variables)})
        except MocksError as error:
            raise SelectionError(f"where: {str(error).removeprefix(f'{_PLACE}: ')}") from None
        self._constants = compiler.scope()
        self.failed: str | None = None

    def __call__(self, scope: Mapping[str, Any]) -> bool:
        try:
            return bool(render(self._condition, {**self._constants, **scope}))
        except ExpressionError as error:
            self.failed = str(error).removeprefix(f"{_PLACE}: ")
            return False


_PLACE = Place("where", 1)


class Selection(Struct, frozen=True):
    """The criteria, and what else must be true of each."""

    criteria: Criteria = Criteria()
    where: Where | None = None

    def within(self, *states: State) -> "Selection":
        """The same, of these states only."""
        given = self.criteria.states
        narrowed = states if given is None else tuple(state for state in states if state in given)
        return replace(self, criteria=replace(self.criteria, states=narrowed))


ALL = Selection()


def select(
    given: Mapping[str, Any], variables: Iterable[str], env: Mapping[str, str], names: Names = WEBHOOKS
) -> Selection:
    """A selection by the filters as they are given: name to value. None is as if it were not there."""
    for name in given:
        if name not in FILTERS:
            raise SelectionError(
                f"there is no filter {name!r}{did_you_mean(name, FILTERS)}; there are {', '.join(FILTERS)}"
            )
    where = given.get("where")
    criteria = Criteria(
        job=_text(given, "job"), mock=_text(given, "mock"), event=_text(given, "event"), states=_states(given)
    )
    return Selection(criteria, None if where is None else Where(str(where), names, variables, env))


def _text(given: Mapping[str, Any], name: str) -> str | None:
    """Ids compare as text."""
    value = given.get(name)
    return None if value is None else str(value)


def _states(given: Mapping[str, Any]) -> tuple[State, ...] | None:
    value = given.get("state")
    if value is None:
        return None
    names = [name.strip() for part in ([value] if isinstance(value, str) else value) for name in str(part).split(",")]
    return tuple(dict.fromkeys(map(_state, filter(None, names)))) or None


def _state(name: str) -> State:
    try:
        return State(name)
    except ValueError:
        raise SelectionError(
            f"state {name!r} is not one of {', '.join(State)}{did_you_mean(name, map(str, State))}"
        ) from None
