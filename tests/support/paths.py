"""Paths of the source tree that tests use."""

import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
ADDON = ROOT / "addon"
MOCK_SCRIPT = ADDON / "mock.py"
"""The script for `mitmdump -s`."""
MITMDUMP = Path(sys.executable).with_name("mitmdump")
