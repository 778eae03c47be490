"""PURE: the errors that cross packages, and the places in mocks files that they name."""

from msgspec import Struct


class Place(Struct, frozen=True):
    """The place of something in a mocks file. `key` is its path there, such as `mocks[0].response.status`.

    A line of 0 is the file as a whole.
    """

    file: str
    line: int
    key: str = ""

    def __str__(self) -> str:
        where = self.line_of_file if self.line else self.file
        return f"{where}: {self.key}" if self.key else where

    @property
    def line_of_file(self) -> str:
        return f"{self.file}:{self.line}"


MAX_MESSAGE_LENGTH = 1000
"""Characters of an error message: it may quote what a client sent."""


def shorten(message: str) -> str:
    """Return a message without its middle, if it has more than MAX_MESSAGE_LENGTH characters."""
    if len(message) <= MAX_MESSAGE_LENGTH:
        return message
    return f"{message[: MAX_MESSAGE_LENGTH - 300]} […] {message[-300:]}"


class LatehookError(Exception):
    """An error that the user can repair. Its text is one line: the place, the problem, the value, the remedy."""


class MocksError(LatehookError):
    """A mocks file cannot be used."""

    def __init__(self, place: Place, problem: str) -> None:
        super().__init__(f"{place}: {problem}")
        self.place = place
        self.problem = problem


class FileNotSent(MocksError):
    """Posted mocks name a file whose content was not sent with them. `name` is as the mocks have it."""

    def __init__(self, place: Place, name: str) -> None:
        super().__init__(
            place,
            f"the content of the file {name!r} was not sent, and the proxy reads no files for posted mocks: load the "
            "mocks with Latehook's Python client, which sends it, or write the content into the mocks",
        )
        self.name = name


class ExpressionError(LatehookError):
    """An expression failed for one request or webhook."""

    def __init__(self, place: Place, problem: str) -> None:
        super().__init__(f"{place}: {shorten(problem)}")


class FilterError(LatehookError):
    """A filter of jobs, webhooks or requests cannot be used."""


class OperationError(LatehookError):
    """An operation cannot be done."""


class NotFound(OperationError):
    """Nothing has the id that an operation names."""


class WrongState(OperationError):
    """What an operation names is not in a state in which the operation is possible."""


class SigningError(ValueError):
    """A webhook cannot be signed. The text is the reason; it never contains the secret."""


class BodyError(ValueError):
    """A body cannot be decoded. The text is the reason."""


class OptionError(LatehookError):
    """An option is not known, or its value is not valid."""


class StoreError(LatehookError):
    """The store cannot be opened, or a commit failed and nothing of it was written."""


class StoreUnreachable(StoreError):
    """The store's server cannot be reached. What was to be written may or may not have been. Later it can be again."""


class UnstorableError(StoreError):
    """The store has no form for a value. Nothing with it was written; what others write in the same commit was."""


class ControlError(LatehookError):
    """The control API answered with an error. The text is the API's."""
