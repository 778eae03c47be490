"""The packages that are published: what is in them, and first use by somebody who has only the wheel, in an empty folder."""

import fcntl
import json
import os
import re
import signal
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from support.installation import Installation, Packages, build, install
from support.limits import LIMIT, LONG_LIMIT
from support.paths import ROOT
from support.ports import free_port
from support.process import clean_environment
from support.receivers import Receiver
from support.waiting import wait_until

README = (ROOT / "README.md").read_text()
COMMANDS = re.findall(r"^(\d)\$ (.*)$", README, re.MULTILINE)
"""The commands of README's first screen, each with its terminal's number."""


class Terminal:
    """A shell that runs commands in a folder, as the foreground processes of a terminal."""

    def __init__(self, command: str, folder: Path, environment: dict[str, str], log: Path) -> None:
        self._log = log
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                ["bash", "-c", command],
                cwd=folder,
                env=environment,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def text(self) -> str:
        """What the commands have printed."""
        return self._log.read_text()

    def wait_for(self, pattern: str) -> str:
        """Return the first match of a regular expression in what the commands print."""
        found = wait_until(lambda: re.search(pattern, self.text), f"{pattern!r} in a terminal")
        return str(found[0])

    def wait(self) -> int:
        """Wait until the commands have ended; return the exit status."""
        return self.process.wait(LIMIT)

    def press_ctrl_c(self) -> int:
        """Interrupt all processes; return the exit status."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGINT)
        return self.wait()

    def processes(self) -> str:
        """Return the process ids of all processes that were started here and still run."""
        return subprocess.run(["pgrep", "--session", str(self.process.pid)], capture_output=True, text=True).stdout


Run = Callable[[str], Terminal]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, testrun_uid: str) -> tuple[Packages, Installation]:
    """The packages and the installation, which are made once for all processes of pytest-xdist."""
    folder = tmp_path_factory.getbasetemp().parent / f"packages-{testrun_uid}"
    folder.mkdir(exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        packages = build(folder / "built")
        return packages, install(packages.wheel, folder / "installed")


@pytest.fixture(scope="module")
def packages(made: tuple[Packages, Installation]) -> Packages:
    return made[0]


@pytest.fixture(scope="module")
def installed(made: tuple[Packages, Installation]) -> Installation:
    return made[1]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "empty"
    folder.mkdir()
    return folder


@pytest.fixture
def run(installed: Installation, folder: Path, tmp_path: Path) -> Iterator[Run]:
    """Run commands in a terminal of their own, in an empty folder and with an empty home folder."""
    home = tmp_path / "home"
    home.mkdir()
    path = os.pathsep.join([str(installed.tools), "/usr/bin", "/bin"])
    environment = {**clean_environment(), "HOME": str(home), "PATH": path, "PYTHONUNBUFFERED": "1"}
    with ExitStack() as stack:

        def run(command: str) -> Terminal:
            log = tmp_path / f"log-{len(list(tmp_path.iterdir()))}"
            terminal = Terminal(command, folder, environment, log)
            stack.callback(terminal.press_ctrl_c)
            return terminal

        yield run


def files_in(*folders: str) -> set[str]:
    """Return the files of the source tree in these folders, without what git ignores."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", *folders]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.splitlines()
    return {name for name in listed if (ROOT / name).exists()}


def test_the_wheel_has_the_package_and_what_mitmproxy_loads_and_nothing_else(packages: Packages) -> None:
    package = {name.removeprefix("addon/") for name in files_in("addon/latehook")}
    scripts = files_in("addon/*.py", "addon/*.yaml", "addon/*.json", "addon/providers")
    scripts -= files_in("addon/latehook")

    with zipfile.ZipFile(packages.wheel) as wheel:
        names = {name for name in wheel.namelist() if ".dist-info/" not in name}

    assert names == package | {name.replace("addon/", "latehook/script/", 1) for name in scripts}
    assert "latehook/py.typed" in names


def test_the_source_package_has_all_that_builds_and_tests_it(packages: Packages) -> None:
    with tarfile.open(packages.source) as source:
        names = {name.partition("/")[2] for name in source.getnames()}

    assert files_in("addon", "scripts", "tests", "*.toml", "*.txt", "README.md", "CHANGELOG.md", "LICENSE") <= names


def test_the_index_accepts_the_packages_and_the_readmes_links_lead_out(packages: Packages) -> None:
    checked = subprocess.run(
        [sys.executable, "-m", "twine", "check", "--strict", *packages], capture_output=True, text=True, timeout=LIMIT
    )
    with zipfile.ZipFile(packages.wheel) as wheel:
        [metadata] = [wheel.read(name).decode() for name in wheel.namelist() if name.endswith("/METADATA")]

    assert checked.returncode == 0, checked.stdout
    assert "](https://latehook.example/addon/REFERENCE.md#start)" in metadata
    assert re.findall(r"\]\((?!https?://)[^)]*\)", metadata) == []


def test_readmes_first_commands_show_the_main_job(run: Run, folder: Path) -> None:
    terminals: dict[str, list[str]] = {}
    ports = {"8080": str(free_port()), "9000": str(free_port())}
    for number, command in COMMANDS:
        command = re.sub("latehook (run|env)", r"latehook \1 -p 8080", command)
        terminals.setdefault(number, []).append(re.sub("8080|9000", lambda port: ports[port[0]], command))
    (install_command, receive), [serve], send = terminals["1"], terminals["2"], terminals["3"]
    assert install_command == "pip install ."
    (folder / "README.md").write_text("the upload\n")

    receiver = run(receive.replace("python3", "python3 -u"))
    receiver.wait_for("Serving HTTP on 127.0.0.1")
    proxy = run(f"export DELAY=1s; {serve}")  # not the five seconds that README says
    proxy.wait_for("Ctrl-C stops the proxy")
    answer = json.loads(run("\n".join(send)).wait_for(r"\{.*\}"))

    webhook = receiver.wait_for(r'"GET .*')
    query = f"success=true&identifier={answer['identifier']}&some_parameter=some_value"
    assert webhook == f'"GET /?{query} HTTP/1.1" 200 -'
    proxy.wait_for("webhook delivered, attempt 1")
    assert "\n  mocked        api.thirdparty.example (the built-in example)\n" in proxy.text
    assert proxy.press_ctrl_c() == 0
    assert proxy.processes() == ""


def test_a_copied_provider_is_served_to_a_shell_that_uses_the_printed_line(run: Run, sut: Receiver) -> None:
    port, web = free_port(), free_port()
    passed = f"--set web_port={web} --no-web-open-browser"
    proxy = run(
        f"latehook providers stripe > mocks.yaml && CALLBACK_URL={sut.url} exec "
        f"latehook run --web -p {port} --confdir 'the ca' -- {passed}"
    )

    line = proxy.wait_for(r"eval .*(?=   in sh)")
    assert f"\n  proxy         http://127.0.0.1:{port}\n" in proxy.text
    assert f"\n  page          http://127.0.0.1:{port}/_latehook/\n" in proxy.text
    assert "\n  mocked        api.stripe.com (mocks.yaml)\n" in proxy.text
    assert re.search(rf"Web server listening at \S+:{web}/", proxy.text)
    shell = run(f"cd /\n{line}\ncurl -sS https://api.stripe.com/v1/payment_intents -d amount=1 -d currency=eur")
    assert json.loads(shell.wait_for(r"(?s)\{.*\}"))["object"] == "payment_intent"
    assert proxy.press_ctrl_c() == 0
    assert proxy.processes() == ""


def test_a_folder_without_mocks_is_told_how_to_begin(run: Run) -> None:
    terminal = run("latehook run -p 0")

    assert terminal.wait() == 1
    assert "\nlatehook run: there is nothing to mock: this folder has no mocks.yaml, and CALLBACK_URL" in terminal.text


def test_the_version_names_latehook_mitmproxy_and_python(run: Run) -> None:
    terminal = run("latehook --version")

    assert terminal.wait() == 0
    assert re.fullmatch(r"Latehook \d+\.\d+\.\d+\S*, mitmproxy 12\.\S+, Python 3\.\d+\.\S+\n", terminal.text)


def test_readmes_test_passes_where_the_wheel_is_installed(installed: Installation, folder: Path, sut: Receiver) -> None:
    test = in_readme("python")
    (folder / "mocks.yaml").write_text(in_readme("yaml"))
    (folder / "test_first.py").write_text(test.replace("127.0.0.1:9000", f"127.0.0.1:{sut.port}"))

    tested = subprocess.run(
        [installed.python, "-m", "pytest", "-v", "-p", "no:cacheprovider"],
        cwd=folder, env=clean_environment(), capture_output=True, text=True, timeout=LONG_LIMIT,
    )  # fmt: skip

    assert "1 passed" in tested.stdout, tested.stdout + tested.stderr
    assert json.loads(sut.requests[0].body)["status"] == "done"
    assert len(test.splitlines()) <= 12


def in_readme(language: str) -> str:
    """Return README's first block of this language."""
    found = re.search(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    assert found is not None
    return found[1]
