"""The image without a container engine: the steps of its Dockerfile are carried out one by one, in a plain folder.

A path of the image, such as /ca, is a path in that folder here. The base image is this machine, with the interpreter of
the tests; packages from an index are those of the tests. The image's user has no rights here but to read.
"""

import ensurepip
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Iterator, Mapping
from fnmatch import fnmatch
from pathlib import Path

from support.limits import LIMIT, LONG_LIMIT
from support.paths import ROOT

DOCKERFILE = ROOT / "scripts" / "image" / "Dockerfile"
OWN = re.compile(r"(?<![\w./-])/(src|opt|ca|mocks)\b")
"""The beginnings of the image's own paths."""


def steps() -> Iterator[tuple[str, str]]:
    """Yield the instructions of the Dockerfile, each with its arguments."""
    text = re.sub(r"^#.*\n", "", DOCKERFILE.read_text(), flags=re.MULTILINE)
    for line in re.sub(r"\\\n\s*", "", text).splitlines():
        if line:
            instruction, _, arguments = line.partition(" ")
            yield instruction, arguments


class Image:
    """The image, built in `folder`. `uid` is that of the user who runs it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._environment = {"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin"}
        self._work = folder
        self.uid = 0
        self.volumes: list[str] = []
        self.ports: list[str] = []
        self.entrypoint: list[str] = []
        self.health = ""
        self._pip = folder / "pip"
        with zipfile.ZipFile(next((Path(ensurepip.__file__).parent / "_bundled").glob("pip-*.whl"))) as pip:
            pip.extractall(self._pip)
        for instruction, arguments in steps():
            getattr(self, f"_{instruction.lower()}")(arguments)

    def path(self, path: str) -> str:
        """Return a text in which the image's paths are those of this machine."""
        return OWN.sub(lambda own: f"{self._folder}{own[0]}", path)

    def run(self, *command: str, env: Mapping[str, str]) -> "subprocess.Popen[bytes]":
        """Run a command in the image as its user, with its environment and `env`."""
        environment = {**self._environment, "HOME": str(self._folder), **env}
        return subprocess.Popen(
            [*self._as_user(), *map(self.path, command)],
            cwd=self._work, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def _as_user(self) -> list[str]:
        """Return the command that runs another one as the image's user. Only root can do that."""
        if os.geteuid() != 0:
            return []
        can_read = [
            "--inh-caps",
            "+dac_read_search",
            "--ambient-caps",
            "+dac_read_search",
        ]  # folders of the tests' user
        return ["setpriv", "--reuid", str(self.uid), "--regid", str(self.uid), "--clear-groups", *can_read]

    # The instructions

    def _from(self, arguments: str) -> None:
        assert re.fullmatch(r"python:3\.\d+-slim( AS build)?", arguments)

    def _copy(self, arguments: str) -> None:
        *sources, target = arguments.split()
        if sources[0].startswith("--from="):  # all stages are in one folder
            assert Path(self.path(target)).exists()
            return
        to = Path(self.path(target))
        (to if target.endswith("/") else to.parent).mkdir(parents=True, exist_ok=True)
        for source in sources:
            assert _is_sent(source), f"{source} is not in Dockerfile.dockerignore"
            if (ROOT / source).is_dir():
                shutil.copytree(ROOT / source, to, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(ROOT / source, to)

    def _run(self, arguments: str) -> None:
        command = self.path(arguments)
        if os.geteuid() != 0:
            command = command.replace("10001:10001", f"{os.getuid()}:{os.getgid()}")
        packages = {"PIP_NO_INDEX": "1", "PIP_NO_DEPS": "1", "PIP_NO_BUILD_ISOLATION": "0"}
        environment = {**self._environment, **packages, "PYTHONPATH": str(self._pip)}
        ran = subprocess.run(
            ["sh", "-c", command], env=environment, cwd=self._work, capture_output=True, text=True, timeout=LONG_LIMIT
        )
        assert ran.returncode == 0, f"RUN {arguments}\n{ran.stdout}{ran.stderr}"
        for site in (self._folder / "opt").glob("*/lib/python*/site-packages"):
            (site / "dependencies.pth").write_text(sysconfig.get_path("purelib"))

    def _env(self, arguments: str) -> None:
        for assigned in shlex.split(self.path(arguments)):
            name, _, value = assigned.partition("=")
            self._environment[name] = value.replace("$PATH", self._environment["PATH"])

    def _user(self, arguments: str) -> None:
        self.uid = int(arguments.partition(":")[0])

    def _workdir(self, arguments: str) -> None:
        self._work = Path(self.path(arguments))
        self._work.mkdir(exist_ok=True)

    def _volume(self, arguments: str) -> None:
        self.volumes.append(arguments)

    def _expose(self, arguments: str) -> None:
        self.ports.append(arguments)

    def _healthcheck(self, arguments: str) -> None:
        self.health = arguments.partition("CMD ")[2]

    def _entrypoint(self, arguments: str) -> None:
        self.entrypoint = json.loads(arguments)

    def is_healthy(self, port: int) -> bool:
        """Run the health check for a proxy at this port instead of 8080."""
        check = self.run("sh", "-c", self.health.replace("8080", str(port)), env={})
        check.communicate(timeout=LIMIT)
        return check.returncode == 0


def _is_sent(source: str) -> bool:
    """Return whether the engine gets this file or folder: the last pattern that fits decides."""
    sent = True
    for pattern in (DOCKERFILE.parent / "Dockerfile.dockerignore").read_text().split():
        if fnmatch(source, pattern.lstrip("!")):
            sent = pattern.startswith("!")
    return sent
