"""Values that the control API and its client must agree on."""

from latehook.base.control_path import CONTROL_PATH
from latehook.base.model import State

PREFIX = f"{CONTROL_PATH}/"
"""The path before each path of the control API."""

WAIT_STATE = State.DELIVERED
"""The state that a wait waits for, unless another is given."""

WAIT_TIMEOUT = "10s"
"""How long a wait may last, unless another duration is given: real time."""

LONGEST_PAGE = 1000
"""Items that one page of a list, or the answer to one wait, holds at most."""

MOCKS_WITH_FILES = "application/vnd.latehook.mocks+json"
"""The media type of mocks that are sent together with the files that they name."""
