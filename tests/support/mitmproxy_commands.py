"""Run mitmproxy's commands in a mitmdump process, which has no prompt to type them at."""

import re
from pathlib import Path

from support.process import Proxy

SCRIPT = """
import asyncio
from pathlib import Path
from mitmproxy import ctx, exceptions

class Commands:
    def running(self):
        self.task = asyncio.get_running_loop().create_task(self.follow())

    async def follow(self):
        file = Path(__file__).with_name("command")
        while True:
            if file.exists():
                line = file.read_text()
                file.unlink()
                print("result:", self.run(line), flush=True)
            await asyncio.sleep(0.02)

    def run(self, line):
        try:
            return ctx.master.commands.execute(line)
        except exceptions.CommandError as error:
            return error

addons = [Commands()]
"""
"""An addon that runs the command in the file `command` beside it and prints its result."""


class Commands:
    """Commands for the process that is started with `arguments`. `folder` holds the files of the exchange."""

    def __init__(self, folder: Path) -> None:
        script = folder / "run_commands.py"
        script.write_text(SCRIPT)
        self._file = folder / "command"
        self.arguments = ("-s", str(script))

    def send(self, line: str) -> None:
        """Hand over a command. The process prints `result: …` when it has run it."""
        complete = self._file.with_suffix(".new")
        complete.write_text(line)
        complete.rename(self._file)  # so that the process never reads half of it

    def operate(self, proxy: Proxy, line: str) -> str:
        """Run an operation like `mock.hold`; return what Latehook logs about it: `done`, or why it failed."""
        prefix = f"latehook: {line.removeprefix('mock.')}: "
        before = sum(prefix in printed for printed in proxy.lines)
        self.send(line)
        proxy.wait_for(re.escape(prefix), count=before + 1)
        return [printed for printed in proxy.lines if prefix in printed][-1].partition(prefix)[2]
