"""`latehook run`: what mitmproxy's program gets, and what is wrong with arguments."""

from pathlib import Path

import pytest

from latehook.base.installation import SCRIPTS
from latehook.cli import main, make_parsers
from latehook.cli.run import mitmproxy_arguments

STRIPE = str(SCRIPTS / "providers" / "stripe.yaml")


def given(*arguments: str, passed: tuple[str, ...] = ()) -> list[str]:
    """What mitmproxy gets behind `-s SCRIPT`."""
    parsed = make_parsers("run")[0].parse_args(["run", *arguments])
    parsed.passed = [*passed]
    script, *rest = mitmproxy_arguments(parsed)[1:]
    assert Path(script).name == "run.py"
    return rest


def test_without_arguments_the_proxy_listens_on_this_machine_only() -> None:
    assert given() == ["--listen-host", "127.0.0.1"]


def test_files_come_before_providers_and_what_is_passed_comes_last() -> None:
    options = [
        "--provider",
        "stripe",
        "-p",
        "8081",
        "--listen-host",
        "::1",
        "--confdir",
        "ca",
        "--set",
        "mock_speed=60",
    ]

    assert given(*options, "a.yaml", "b c.yaml", passed=("--mode", "socks5")) == [
        *("--listen-host", "::1", "--listen-port", "8081"),
        *("--set", "mock_file=a.yaml", "--set", "mock_file=b c.yaml", "--set", f"mock_file={STRIPE}"),
        *("--set", "confdir=ca", "--set", "mock_speed=60", "--mode", "socks5"),
    ]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--mode", "socks5"], "unrecognized arguments: --mode; write arguments of mitmproxy after --"),
        (["--provider", "strip"], "there is no provider 'strip'; did you mean 'stripe'?"),
        (["--provider", "x"], "there is no provider 'x'; `latehook providers` lists them"),
        (["-p", "80800"], "80800: write a port, a whole number below 65536"),
        (["-p", "eighty"], "eighty: write a port"),
    ],
)
def test_a_wrong_argument_is_named_with_the_remedy(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["run", *arguments])

    assert ended.value.code == 2
    assert words in capsys.readouterr().err
