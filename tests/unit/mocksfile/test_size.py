"""Large mocks files: the time of loading grows with the file, and what multiplies is limited."""

import sys
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from latehook import cli
from latehook.base.errors import MocksError
from latehook.mocks.matching import covers, parse
from latehook.mocksfile.loading import load_text
from latehook.mocksfile.reachability import Covering


def calls_of(work: Callable[[], object]) -> int:
    """Return how many functions are called, those of Python and of C: the same in every run."""
    calls = count()

    def note(frame: object, event: str, argument: object) -> None:
        if event in ("call", "c_call"):
            next(calls)

    sys.setprofile(note)
    try:
        work()
    finally:
        sys.setprofile(None)
    return next(calls)


SHAPES: dict[str, Callable[[int], str]] = {
    "one path": lambda n: f"  - match: GET https://api.slow.example/v1/{n}\n    response: {{json: {{n: {n}}}}}\n",
    "captures": lambda n: f"  - {{match: 'GET https://api.slow.example/v1/{{id}}/{n}', response: {{text: x}}}}\n",
    "parts": lambda n: f"  - {{match: 'GET https://api.slow.example/v1/{n}-{{id}}'}}\n",
    "behind": lambda n: f"  - {{match: 'GET https://api.slow.example/v1/{{id}}.{n}'}}\n",
    "rest": lambda n: f"  - {{match: 'ANY https://api.slow.example/v1/{n}/**'}}\n",
    "hosts": lambda n: f"  - {{match: POST h{n}.slow.example/}}\n",
    "wildcards": lambda n: f"  - {{match: POST *.h{n}.slow.example/}}\n",
    "ports": lambda n: f"  - {{match: POST api.slow.example:{n + 1}/}}\n",
    "conditions": lambda n: f"  - {{match: POST api.slow.example/, when: request.json.n == {n}}}\n",
    "names": lambda n: f"  - {{match: POST api.slow.example/, name: mock {n}, times: 1}}\n",
    "secrets": lambda n: (
        f"  - match: POST api.slow.example/{n}\n"
        f"    webhook: {{to: 'http://app/', sign: {{scheme: github, secret: whsec_{n:08}}}}}\n"
    ),
    "aliases": lambda n: (
        f"  - {{match: POST api.slow.example/{n}, webhook: {'&w {to: http://app/}' if not n else '*w'}}}\n"
    ),
    "merges": lambda n: f"  - {'&m ' if not n else ''}{{{'<<: *m, ' if n else ''}match: POST api.slow.example/{n}}}\n",
    "stages": lambda n: f"  - {{match: POST api.slow.example/{n}, stages: [{{after: {n + 1}s}}, {{after: 2h}}]}}\n",
}


@pytest.mark.parametrize("shape", SHAPES)
def test_the_work_grows_with_the_file(shape: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def check(mocks: int) -> int:
        file = tmp_path / f"{mocks}.yaml"
        file.write_text("mocks:\n" + "".join(map(SHAPES[shape], range(mocks))))
        return calls_of(lambda: cli.main(["check", str(file)]))

    check(10)  # what is imported and cached at first
    few, many = check(20), check(100)

    assert many < 5.5 * few
    assert capsys.readouterr().err == ""


def bomb(levels: int) -> str:
    lines = ["x-a0: &a0 [l,l,l,l,l,l,l,l,l]"]
    lines += [f"x-a{level}: &a{level} [{','.join([f'*a{level - 1}'] * 9)}]" for level in range(1, levels)]
    return "\n".join([*lines, "mocks: []\n"])


def merge_bomb(levels: int) -> str:
    lines = ["x-a0: &a0 {a: 1, b: 2}"]
    lines += [f"x-a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 9)}]}}" for n in range(1, levels)]
    return "\n".join([*lines, "mocks: []\n"])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (bomb(9), r"^a\.yaml:\d: .*the aliases of this file stand for more than 100,000 values: write fewer in one another"),
        (bomb(60), r"^a\.yaml:\d+: .*the aliases of this file stand for more than 100,000 values"),
        (merge_bomb(9), r"^a\.yaml:\d: .*the aliases of this file stand for more than 100,000 values"),
        ("a: 1\nx-a: " + "[" * 20_000 + "]" * 20_000, r"^a\.yaml:2: .*lists and maps are more than 100 levels deep here"),
        ("\n".join("  " * n + "a:" for n in range(2000)), r"^a\.yaml:100: .*lists and maps are more than 100 levels deep"),
        ("mocks: []\nx-a: '" + "a" * 9_000_000 + "'", r"^a\.yaml:1: the file has 9,000,017 characters, and may have 8,388,608"),
    ],
    ids=["aliases", "many aliases", "merges", "flow", "block", "length"],
)  # fmt: skip
def test_what_multiplies_is_an_error_with_its_place(text: str, words: str) -> None:
    own_limit = r"|^a\.yaml:1: the file is nested too deeply here"  # that of Python 3.12 is reached before ours
    started = time.process_time()
    with pytest.raises(MocksError, match=words + own_limit * (sys.version_info < (3, 13))):
        load_text(text, "a.yaml", {}, {})

    assert time.process_time() - started < 10


def test_aliases_that_many_mocks_use_are_no_error() -> None:
    mocks = "".join(f"- {{<<: *base, match: POST api.slow.example/{n}}}\n" for n in range(1, 300))
    text = f"x-base: &base {{response: {{json: {{a: 1}}}}, webhook: {{to: http://app/, after: 1s}}}}\nmocks:\n{mocks}"

    assert len(load_text(text, None, {}, {}).all) == 299


METHODS = st.sampled_from(["GET", "POST", "ANY", "GET|POST"])
HOSTS = st.sampled_from(["a.test", "b.a.test", "*.a.test", "*.test", "*.b.a.test", "https://a.test", "a.test:81"])
SEGMENTS = st.sampled_from(["a", "b", "", "a-b", "{x}", "a-{x}", "{x}-b", "{x}-{y}", "a{x}b"])
PATHS = st.lists(SEGMENTS, min_size=1, max_size=3), st.sampled_from(["", "/**"])


@st.composite
def matches(draw: st.DrawFn) -> str:
    segments, rest = (draw(part) for part in PATHS)
    named = (segment.replace("{x}", f"{{x{n}}}").replace("{y}", f"{{y{n}}}") for n, segment in enumerate(segments))
    return f"{draw(METHODS)} {draw(HOSTS)}/{'/'.join(named)}{rest}"


@settings(max_examples=100, deadline=None)
@given(st.lists(matches(), max_size=12), matches())
def test_the_first_match_that_covers_another_is_found(texts: list[str], other: str) -> None:
    covering: Covering[int] = Covering()
    for number, text in enumerate(texts):
        covering.add(parse(text), number)

    expected = next((n for n, text in enumerate(texts) if covers(parse(text), parse(other))), None)
    assert covering.first_that_covers(parse(other)) == expected
