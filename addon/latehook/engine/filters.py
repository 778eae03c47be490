"""PURE: Filters: which jobs, webhooks or requests a list, a wait or an operation is for."""

from collections.abc import Collection, Mapping
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from latehook.base.errors import ExpressionError, FilterError, MocksError, Place
from latehook.base.model import Criteria, State
from latehook.base.text import did_you_mean
from latehook.expressions.compiler import Compiler, in_braces
from latehook.expressions.evaluation import ShortEvaluation
from latehook.expressions.expression import Expression, Names, reads_of
from latehook.expressions.names import INDEX, ITEM, JOB, REQUEST, WEBHOOK
from latehook.expressions.sandbox import Sandbox

FILTERS = ("job", "mock", "event", "state", "where")
"""The names that a filter has for users: the parameters of a query, the words of a command."""

REQUESTS: Names = {**REQUEST, "now": None, "real_now": None}
JOBS: Names = {**REQUESTS, **JOB}
WEBHOOKS: Names = {**JOBS, **WEBHOOK, **ITEM, **INDEX}
"""The names that `where` may use in a filter of requests, of jobs, and of webhooks; the variables come in addition."""

MAX_WHERE_LENGTH = 4000
"""Characters of a `where`: it is compiled while everything else waits."""

_PLACE = Place("where", 1)

_VARYING = ("now", "real_now", "job.status", "job.at")


class Where:
    """The expression of a `where`. Where it cannot be evaluated it is false, and `failed` has the last error.

    Whoever may send a filter learns something of each value that it reads, if only by the time that it takes. So it
    reads no environment variable, and no variable that holds a secret.
    """

    def __init__(self, text: str, names: Names, variables: Mapping[str, Any], secret: Collection[str]) -> None:
        """Compile the expression. `secret` are the names of those variables that it cannot read. Raises FilterError."""
        if len(text) > MAX_WHERE_LENGTH:
            raise FilterError(f"where: it has {len(text):,} characters; it may have {MAX_WHERE_LENGTH:,}")
        compiler = Compiler({}, sandbox=Sandbox(ShortEvaluation))
        try:
            self._condition = compiler.compile(in_braces(text), _PLACE, {**names, "vars": dict.fromkeys(variables)})
        except MocksError as error:
            raise FilterError(f"where: {str(error).removeprefix(f'{_PLACE}: ')}") from None
        reads = self._condition.reads if isinstance(self._condition, Expression) else ()
        for name in secret:
            if f"vars.{name}" in reads:
                raise FilterError(f"where: a filter cannot read vars.{name}, because it holds a secret")
        self._constants = dict(compiler.constants())
        self.set_variables(variables, secret)
        self.failed: str | None = None
        self.varies_with_time = any(_varies(name) for name in reads_of(self._condition))
        """Whether the value may change although nothing of the webhook or job changes: a stage is reached by time."""

    def set_variables(self, variables: Mapping[str, Any], secret: Collection[str]) -> None:
        """Evaluate with these variables from now on, except the `secret` ones."""
        self._constants["vars"] = {name: value for name, value in variables.items() if name not in secret}

    def __call__(self, scope: Mapping[str, Any]) -> bool:
        """Evaluate the expression with the values of its names, except the variables."""
        if not isinstance(self._condition, Expression):
            return bool(self._condition)
        try:
            return self._condition.is_true({**self._constants, **scope})
        except ExpressionError as error:
            self.failed = str(error).removeprefix(f"{_PLACE}: ")
            return False


class Filter(Struct, frozen=True):
    """What must be true of each: the criteria, which the store finds by, and `where`."""

    criteria: Criteria = Criteria()
    where: Where | None = None

    def with_states(self, *states: State) -> "Filter":
        """Return the same filter, for webhooks in one of these states only."""
        own = self.criteria.states
        both = states if own is None else tuple(state for state in states if state in own)
        return replace(self, criteria=replace(self.criteria, states=both))


ALL = Filter()
"""The filter that everything matches."""


def parse_filter(
    given: Mapping[str, Any], variables: Mapping[str, Any], secret: Collection[str] = (), names: Names = WEBHOOKS
) -> Filter:
    """Make a filter of what a user gave: a map from names in FILTERS to values, of which None counts as not given.

    `where` may use `names` and these `variables`, except the `secret` ones. Raises FilterError.
    """
    for name in given:
        if name not in FILTERS:
            raise FilterError(
                f"there is no filter {name!r}{did_you_mean(name, FILTERS)}; there are {', '.join(FILTERS)}"
            )
    where = given.get("where")
    criteria = Criteria(
        job=_text(given, "job"), mock=_text(given, "mock"), event=_text(given, "event"), states=_states(given)
    )
    return Filter(criteria, None if where is None else Where(str(where), names, variables, secret))


def _varies(name: str) -> bool:
    """Return whether time alone changes the value of a dotted name."""
    return name == "job" or any(name == varying or name.startswith(f"{varying}.") for varying in _VARYING)


def _text(given: Mapping[str, Any], name: str) -> str | None:
    """Return a value as text, also a number: ids compare as text."""
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
        raise FilterError(
            f"state {name!r} is not one of {', '.join(State)}{did_you_mean(name, map(str, State))}"
        ) from None
