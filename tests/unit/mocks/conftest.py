"""The fixture of tests that decide requests in memory."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from support.scenario import Scenario, new_scenario


@pytest.fixture
def scenario_of(tmp_path: Path) -> Callable[..., Scenario]:
    """Return a function that makes a scenario of a mocks file's text; keyword arguments are the environment."""
    return partial(new_scenario, tmp_path)
