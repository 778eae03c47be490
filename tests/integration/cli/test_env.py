"""`latehook env`: every shell gives a program the values as they are, whatever characters they have."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from latehook.cli import main
from latehook.cli.env import FORMATS
from latehook.client.address import CA_BUNDLES, PROXIES
from support.limits import LIMIT
from support.shells import needs_shell

HARD = [
    "plain/path:8080,x", "", " ", "a b", "it's", '"quoted"', "$HOME", "${HOME}", "`id`", "$(id)", "back\\slash", "\\'",
    "\\", "a\\\\b", "*", "~", "a;b", "a#b", "#a", "%PATH%", "typographic \u2019", "!x", "é ü 日本", "'", "''", '"\'$\\`', "a=b", "{x}", "<>|&",
]  # fmt: skip
VARIABLES = {f"LATEHOOK_TEST_{number}": value for number, value in enumerate(HARD)}
REPORT = "import json, os; print(json.dumps({k: v for k, v in os.environ.items() if k.startswith('LATEHOOK_TEST_')}))"


def lines(format: str, variables: dict[str, str] = VARIABLES) -> str:
    return "".join(f"{FORMATS[format](name, value)}\n" for name, value in variables.items())


@pytest.mark.parametrize(
    ("format", "shell", "before"),
    [
        pytest.param("sh", "sh", "", id="sh"),
        pytest.param("bash", "bash", "", id="bash"),
        pytest.param("zsh", "zsh", "", id="zsh", marks=needs_shell("zsh")),
        pytest.param("fish", "fish", "", id="fish", marks=needs_shell("fish")),
        pytest.param("dotenv", "bash", "set -a\n", id="dotenv"),
    ],
)
def test_a_program_that_a_shell_starts_gets_each_value(format: str, shell: str, before: str, tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text(f'{before}{lines(format)}\n"{sys.executable}" -c "{REPORT}"\n')

    ran = subprocess.run([shell, str(script)], capture_output=True, text=True, timeout=LIMIT, env={"LC_ALL": "C.UTF-8"})

    assert json.loads(ran.stdout) == VARIABLES, ran.stderr


def test_compose_reads_each_value() -> None:
    read = YAML(typ="safe").load("environment:\n" + lines("compose"))["environment"]

    assert {name: value.replace("$$", "$") for name, value in read.items()} == VARIABLES
    assert not any(re.search(r"(?<!\$)\$(\$\$)*(?!\$)", value) for value in read.values())  # compose fills in `$x`


def test_powershell_reads_each_value() -> None:
    """By its language's rule: within single quotes, two of them stand for one, and all else for itself."""
    quoted = dict(re.findall(r"^\$env:(\w+) = '(.*)'$", lines("powershell"), re.MULTILINE))
    found = {name: re.sub("(['\u2018-\u201b])\\1", r"\1", text) for name, text in quoted.items()}

    assert found == VARIABLES


def test_a_dotenv_value_without_special_characters_has_no_quotes() -> None:
    assert FORMATS["dotenv"]("A", "http://127.0.0.1:8080") == "A=http://127.0.0.1:8080"


def test_the_lines_name_the_proxy_and_a_bundle_that_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status = main(["env", "-p", "8081", "--host", "::1", "--confdir", str(tmp_path / "new"), "--no-proxy", "db"])

    values = dict(line.removeprefix("export ").split("=", 1) for line in capsys.readouterr().out.splitlines())
    bundle = tmp_path / "new" / "latehook-ca-bundle.pem"
    assert status == 0
    assert {values[name] for name in PROXIES} == {"'http://[::1]:8081'"}
    assert {values[name] for name in CA_BUNDLES} == {str(bundle)}
    assert values["NO_PROXY"] == "localhost,127.0.0.1,::1,db"
    assert bundle.read_text().startswith((tmp_path / "new" / "mitmproxy-ca-cert.pem").read_text().strip())


def test_compose_lines_are_those_of_a_service_beside_latehook(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["env", "compose"]) == 0

    environment = YAML(typ="safe").load(capsys.readouterr().out)["environment"]
    assert environment["HTTPS_PROXY"] == "http://latehook:8080"
    assert environment["SSL_CERT_FILE"] == "/ca/latehook-ca-bundle.pem"


def test_a_folder_that_cannot_be_used_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()

    assert main(["env", "--confdir", str(tmp_path / "file")]) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"latehook env: --confdir {tmp_path}/file: mitmproxy keeps its CA in this folder, which")
    assert error.endswith("name another one\n") and error.count("\n") == 1
