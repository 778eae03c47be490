"""What a running proxy says when its terminal ends, its mocks file is removed, or an option is misspelt."""

import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

from support.paths import MITMDUMP, MOCK_SCRIPT
from support.process import Proxy, clean_environment
from support.programs import curl

Start = Callable[..., Proxy]

MOCKS = "mocks: [{match: ANY api.slow.example/**, response: {text: mocked}}]\n"


def test_sighup_ends_the_proxy_like_sigterm_and_says_so(start: Start) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)  # the proxy inherits it: pytest may run under nohup
    try:
        proxy = start(mocks=MOCKS + "x-hook: {}\n")
    finally:
        signal.signal(signal.SIGHUP, before)

    assert proxy.stop(signal.SIGHUP) == 0
    assert "latehook: SIGHUP: the terminal or session has ended, so the proxy ends, too" in proxy.output


def test_a_process_that_ignores_sighup_goes_on(confdir: Path, tmp_path: Path) -> None:
    (tmp_path / "mocks.yaml").write_text(MOCKS)
    command = [MITMDUMP, "--set", f"confdir={confdir}", "-p", "0", "-s", MOCK_SCRIPT]
    process = subprocess.Popen(
        ["nohup", *map(str, command), "--set", f"mock_file={tmp_path}/mocks.yaml"],
        cwd=tmp_path, env=clean_environment() | {"PYTHONUNBUFFERED": "1"},
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    proxy = Proxy(process, confdir)
    try:
        proxy.wait_for("latehook: ready")
        os.kill(process.pid, signal.SIGHUP)
        process.send_signal(signal.SIGTERM)

        assert proxy.wait() == 0
        assert "SIGHUP" not in proxy.output
    finally:
        proxy.close()


def test_a_mocks_file_that_is_removed_and_comes_back_is_logged(start: Start, tmp_path: Path) -> None:
    proxy = start(mocks=MOCKS)
    file, elsewhere = tmp_path / "mocks.yaml", tmp_path / "elsewhere.yaml"

    file.rename(elsewhere)
    proxy.wait_for("mocks.yaml was removed; its mocks stay in use")
    assert curl("-x", proxy.url, "http://api.slow.example/").stdout == "mocked"
    elsewhere.rename(file)
    proxy.wait_for("mocks.yaml is back")
    file.unlink()
    proxy.wait_for("mocks.yaml was removed", count=2)
    file.write_text(MOCKS.replace("mocked", "new"))
    proxy.wait_for("latehook: reloaded")

    assert curl("-x", proxy.url, "http://api.slow.example/").stdout == "new"


def test_a_misspelt_option_is_named_before_what_follows_from_it(start: Start, tmp_path: Path) -> None:
    proxy = start("--set", f"mock_fil={tmp_path}/mocks.yaml", wait=False)

    assert proxy.wait() == 1
    assert "latehook: the option mock_fil is not known; did you mean 'mock_file'?" in proxy.output
    assert "CALLBACK_URL" not in proxy.output


def test_a_home_that_cannot_be_made_ends_the_start_with_the_remedy(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "mocks.yaml").write_text(MOCKS)
    environment = clean_environment() | {"HOME": str(tmp_path / "file" / "home")}
    command = [MITMDUMP, "-p", "0", "-s", MOCK_SCRIPT, "--set", f"mock_file={tmp_path}/mocks.yaml"]

    ended = subprocess.run(list(map(str, command)), env=environment, capture_output=True, text=True)

    assert ended.returncode == 1
    last = (ended.stdout + ended.stderr).strip().splitlines()
    assert any("latehook: confdir=~/.mitmproxy: " in line and "--set confdir=FOLDER" in line for line in last)
