"""`latehook check` and `latehook schema`."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from latehook.mocksfile.schema import json_schema
from support.paths import ADDON
from support.programs import latehook


def test_check_describes_what_each_mock_does(tmp_path: Path) -> None:
    file = tmp_path / "mocks.yaml"
    file.write_text("""
mocks:
  - name: create
    match: POST api.slow.example/jobs
    when: request.json.url is string
    response: {status: 202, delay: 100ms, json: {id: "{{ job.id }}"}, fault: {kind: reset, chance: 0.2, count: 3}}
    webhook: {to: "{{ request.json.url }}", json: {id: "{{ job.id }}"}, sign: {scheme: stripe, secret: s}, retry: svix}
    stages:
      - {status: queued}
      - {after: {uniform: [5s, 10s]}, status: done, webhook: {fault: duplicate}}
  - {match: GET api.slow.example/health, response: forward}
""")

    checked = latehook("check", file)

    assert (checked.returncode, checked.stderr) == (0, "")
    assert (
        checked.stdout
        == f"""\
{file}
  create: POST api.slow.example/jobs (line 3)
    if request.json.url is string
    answers 202 with JSON: id, after 0.1 s
      fault reset: the connection is reset instead, with a chance of 0.2, at most 3 times
    after 0 s: the status is queued
    after 5 to 10 s: the status is done, sends POST {{{{ request.json.url }}}} with JSON: id
      signed with the scheme stripe
      fault duplicate: the same request is sent twice at the same time
      timeout 15 s, retries after 5, 300, 1800, 7200, 18000, 36000, … s (svix)
  GET api.slow.example/health (line 11)
    sends the request to the real service
"""
    )


def test_check_takes_the_file_that_run_takes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    missing = latehook("check")
    (tmp_path / "mocks.yaml").write_text("mocks: [{match: GET api.slow.example/health}]")

    checked = latehook("check")

    assert (missing.returncode, missing.stderr) == (1, "mocks.yaml: cannot be read: No such file or directory\n")
    assert (checked.returncode, checked.stderr) == (0, "")
    assert checked.stdout.startswith("mocks.yaml\n  GET api.slow.example/health (line 1)\n")


def test_check_lists_the_environment_variables_that_a_file_needs() -> None:
    unset, given = (
        latehook("check", ADDON / "mocks.yaml"),
        latehook("check", ADDON / "mocks.yaml", CALLBACK_URL="http://a.test/"),
    )

    assert (unset.returncode, given.returncode) == (0, 0)
    assert "needs the environment variable CALLBACK_URL\n" in unset.stdout
    assert "needs" not in given.stdout


def test_check_of_a_file_with_an_error_prints_one_line_and_exits_with_1(tmp_path: Path) -> None:
    file = tmp_path / "mocks.yaml"
    file.write_text("mocks:\n  - mach: GET a.example/\n")

    checked = latehook("check", ADDON / "mocks.yaml", file)

    assert checked.returncode == 1
    assert checked.stdout == ""
    assert checked.stderr == f"{file}:2: mocks[0].mach: the key 'mach' is not known; did you mean 'match'?\n"


def test_the_shipped_schema_is_the_one_that_latehook_prints() -> None:
    printed = latehook("schema")

    assert json.loads(printed.stdout) == json_schema()
    assert (ADDON / "mocks.schema.json").read_text() == printed.stdout


@pytest.mark.parametrize("command", ["schema", f"check {ADDON}/providers/stripe.yaml {ADDON}/providers/mux.yaml"])
def test_a_reader_that_goes_away_ends_a_command_without_a_traceback(command: str) -> None:
    program = [sys.executable, "-m", "latehook.cli", *command.split()]
    with subprocess.Popen(
        program, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={"PYTHONPATH": str(ADDON)}
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.close()
        said = process.stderr.read()

    assert (process.returncode, said) == (141, b"")


@pytest.mark.parametrize(
    "file", [ADDON / "mocks.yaml", *sorted((ADDON / "providers").glob("*.yaml"))], ids=lambda p: p.stem
)
def test_every_shipped_file_has_no_error_and_names_the_schema(file: Path) -> None:
    first = file.read_text().splitlines()[0]
    prefix = "" if file.parent == ADDON else "../"

    assert latehook("check", file).returncode == 0
    assert first == f"# yaml-language-server: $schema={prefix}mocks.schema.json"
