"""The machine's clock, as one process sees it: a test sets it, and the machine's own clock stays as it is."""

import shutil
import struct
import subprocess
from pathlib import Path

import pytest

SOURCE = Path(__file__).with_suffix(".c")


class MachineClock:
    """`env` are the environment variables of a process that sees this clock. They preload a library made from SOURCE.

    A test that uses it is skipped on a machine without a C compiler.
    """

    def __init__(self, folder: Path) -> None:
        compiler = shutil.which("cc")
        if compiler is None:
            pytest.skip("needs a C compiler, cc, to set the clock of a process")
        library, self._file = folder / "machine_clock.so", folder / "machine_clock"
        subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", library, SOURCE, "-ldl"], check=True)
        self.env = {"LD_PRELOAD": str(library), "MACHINE_CLOCK": str(self._file)}
        self._file.write_bytes(struct.pack("q", 0))

    def set(self, seconds: int) -> None:
        """Set the clock: it is wrong by so many seconds from now on."""
        with self._file.open("r+b") as file:  # in place: processes have mapped it
            file.write(struct.pack("q", seconds))
