"""PURE: Errors that a user can cause, and where in a mocks file each is."""

from msgspec import Struct


class Place(Struct, frozen=True):
    """Where in a mocks file something is written: what every error names."""

    file: str
    line: int
    key: str = ""

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.key}" if self.key else f"{self.file}:{self.line}"


MESSAGE_LENGTH = 1000
"""Characters of a problem that are shorten: what a client sends may stand in it."""


def shorten(problem: str) -> str:
    """A problem as it is shorten: in a response, the log, the store. Of a long one the middle is left out."""
    return problem if len(problem) <= MESSAGE_LENGTH else f"{problem[: MESSAGE_LENGTH - 300]} […] {problem[-300:]}"


class LatehookError(Exception):
    """Something the user can mend. Its text is one line: place, what is wrong, the value, the remedy."""


class MocksError(LatehookError):
    """A mocks file that cannot be used."""

    def __init__(self, place: Place, problem: str) -> None:
        super().__init__(f"{place}: {problem}")
        self.place = place
        self.problem = problem


class ExpressionError(LatehookError):
    """An expression that failed for one request or webhook."""

    def __init__(self, place: Place, problem: str) -> None:
        super().__init__(f"{place}: {shorten(problem)}")


class FilterError(LatehookError):
    """A filter that cannot be used: what is wrong, the value, the remedy."""


class OperationError(LatehookError):
    """An operation that cannot be done: what is wrong, the value, the remedy."""


class NotFound(OperationError):
    """There is nothing of this id."""


class WrongState(OperationError):
    """There is, but not in a state that this could be done in."""


class SigningError(ValueError):
    """A signature that cannot be made, with the reason. It never holds the secret."""


class BodyError(ValueError):
    """A body that cannot be read, with the reason."""


class OptionError(LatehookError):
    """An option that is not known or has a value that does not fit."""


class StoreError(LatehookError):
    """The store cannot be opened, or could not write: nothing that was to be written with it counts."""


class UnstorableError(StoreError):
    """What is to be written has no form in the store. Nothing of it was written: what others write counts."""


class ControlError(LatehookError):
    """Latehook did not do what it was asked; the text is its own."""
