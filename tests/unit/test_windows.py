"""What other systems than POSIX lack: no module needs it to be imported. Windows itself is not here to be tried."""

import ast
import subprocess
import sys
from pathlib import Path

from support.paths import ADDON
from unit.test_layout import MODULES

ONLY_POSIX = {"fcntl", "grp", "posix", "pty", "pwd", "resource", "syslog", "termios", "tty"}

LOCK_TWICE = f"""
import sys
for name in {ONLY_POSIX - {"posix"}}:
    sys.modules[name] = None  # as if it were not there
from latehook.base.errors import StoreError
from latehook.store.sqlite.opening import connect
first, lock = connect("store")
try:
    connect("store")
except StoreError as error:
    print(error)
"""


def test_no_module_imports_what_only_posix_has_unless_it_can_do_without() -> None:
    """An import inside `try` is followed by what happens without it."""
    imported = {
        (file.stem, name.name.partition(".")[0])
        for file in MODULES
        for node in ast.parse(file.read_text(encoding="utf-8")).body
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in ([ast.alias(node.module or "")] if isinstance(node, ast.ImportFrom) else node.names)
    }

    assert {(module, name) for module, name in imported if name in ONLY_POSIX} == set()


def test_without_these_modules_a_store_is_still_locked(tmp_path: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", LOCK_TWICE], cwd=tmp_path, env={"PYTHONPATH": str(ADDON)}, capture_output=True, text=True
    )

    assert ran.stdout == "mock_store=store: another process has it: end that one, or name another file\n", ran.stderr
