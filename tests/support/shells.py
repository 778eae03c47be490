"""Shells. One that is not on this machine is skipped; with CI=true its tests fail."""

import os
import shutil

import pytest


def needs_shell(name: str) -> pytest.MarkDecorator:
    """Return the mark of a test that runs this shell."""
    missing = shutil.which(name) is None and os.environ.get("CI") != "true"
    return pytest.mark.skipif(missing, reason=f"there is no {name} here")
