"""Expressions: their names are checked at load, values keep their types, and everything missing is null."""

import hashlib
import random
from collections.abc import Mapping
from typing import Any

import pytest
from jinja2 import Environment
from jinja2.runtime import Context

from latehook.base.errors import ExpressionError, MocksError
from latehook.expressions.compiler import Compiler
from latehook.expressions.evaluation import Evaluation
from latehook.expressions.expression import Expression
from latehook.expressions.random_values import new_uuid
from latehook.expressions.sandbox import Sandbox
from latehook.expressions.values import to_text
from support.expressions import BODY, NAMES, PLACE, evaluate

VALUES = [
    ("plain", "plain"),
    ("{{ request.json.n }}", 3),
    ("{{ request.json.yes }}", True),
    ("{{ request.json.list }}", [1, None, "x"]),
    ("{{ request.json.deep }}", {"items": "a key", "get": 1}),
    ("n={{ request.json.n }} {{ request.json.yes }} {{ request.json.list }}", 'n=3 true [1,null,"x"]'),
    ("{{ request.json.n }}{{ request.json.n }}", "33"),
    (" {{ request.json.n }}", " 3"),
    ("{{- request.json.n -}}", 3),
    ("{{ '5' }}", "5"),
    ("{{ request.json.n + 1 }}", 4),
    ("{{ request.json['n'] }}", 3),
    ("{{ request.json.list[0] }}", 1),
    ("{{ request.json.list[9] }}", None),
    ("{% for x in request.json.list %}<{{ x }}{{ loop.index }}>{% endfor %}", "<11><2><x3>"),
    ("{% for x in [1, 2] %}{{ random.choice([x]) }}{% endfor %}", "12"),
    ("{% macro of() %}{{ job.id }}{{ x }}{% endmacro %}{% set x = 1 %}{{ of() }}", "j11"),
    ("{% if now %}{% set job = 1 %}{% endif %}{{ job }}", "1"),
    ("{% if not now %}{% set job = 1 %}{% endif %}{{ job.id }}", "j1"),
    ("{% for i in [1, 2] %}{% set job = i %}{{ job }}{% endfor %}{{ job.id }}", "12j1"),
    ("{% for i in [1, [2]] recursive %}{{ loop([3]) if i is iterable else i }}{{ job.id }}{% endfor %}", "1j13j1j1"),
    ("{% macro of() %}{{ caller(job.id) }}{% endmacro %}{% call(x) of() %}{{ x }}{{ job.id }}{% endcall %}", "j1j1"),
    ("{% with job = {'id': 9} %}{{ job.id }}{% endwith %}{{ job.id }}", "9j1"),
    ("{% filter upper %}{{ job.id }}{% set job = 'k' %}{{ job }}{% endfilter %}{{ job.id }}", "J1Kj1"),
    ("{% macro tag(x, end='') %}<{{ x }}{{ end }}>{% endmacro %}{{ tag(1) }}{{ tag('b', end='/') }}", "<1><b/>"),
    ("{{ request.method }} {{ request.url }}", "POST https://api.slow.example/jobs/7?a=1&a=2&empty="),
    ("{{ request.path }}", "/jobs/7"),
    ("{{ request.path.id }}", "7"),
    ("{{ request.query.a }}", "1"),
    ("{{ request.query.empty }}", ""),
    ("{{ request.headers.x_foo }}", "bar"),
    ("{{ request.headers['X-FOO'] | all }}", ["bar", "baz"]),
    ("{{ request.query.a | all }}", ["1", "2"]),
    ("{{ request.query.missing | all }}", []),
    ("{{ request.sha256 }}", hashlib.sha256(BODY).hexdigest()),
    ("{{ vars.verdict }}", "good"),
    ("{{ jobs }}", []),
    ("{{ jobs | first }}", None),
    ("{{ random.hex(6) | length }} {{ random.int(5, 5) }} {{ random.choice(['a']) }}", "6 5 a"),
    ("{{ random.base62(24) | length }}", 24),
    ("{{ job.vars.kind }}", "a"),
    ("{{ job.at.queued }}", 1700000000.5),
    ("{{ job.at.done | iso8601 }}", None),
    ("{{ request.size }}", len(BODY)),
    ("{{ job.id }}/{{ job.status }}", "j1/queued"),
    ("{{ job.request.json.n }}", 3),
    ("{{ now | iso8601 }}", "2023-11-14T22:13:21.250Z"),
    ("{{ real_now }}", 1690000000.0),
    ("{{ job.created_at | unix }}", 1700000000),
    ("{{ now | strftime('%Y/%m') }}", "2023/11"),
    ("{{ uuid() }}", new_uuid(random.Random(1))),
    ("{{ 'a b' | b64encode }}", "YSBi"),
    ("{{ 'YSBi' | b64decode }}", "a b"),
    # RFC 4231 2.3, test case 2
    (
        "{{ 'what do ya want for nothing?' | hmac('Jefe') }}",
        "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
    ),
    ("{{ 'abc' | hmac('k', algorithm='sha1', encoding='base64') }}", "+b7wkf4A2fUShZODbbqZ4ZPwgXQ="),
    ("{{ none | hmac('k') }}", None),
    ("{{ 'abc' | sha256 }}", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
    ("{{ ('{\"a\": [1]}' | from_json).a }}", [1]),
    ("{{ request.json.deep | tojson }}", '{"items":"a key","get":1}'),
]


@pytest.mark.parametrize(("text", "value"), VALUES)
def test_one_expression_keeps_its_type_and_a_text_around_it_gives_a_text(text: str, value: Any) -> None:
    assert evaluate(text) == value


class JinjaEvaluation(Evaluation):
    """An evaluation that Jinja's own `Context.__init__` has prepared, and that finds names as Jinja does."""

    resolve_or_missing = Context.resolve_or_missing

    def __init__(self, environment: Environment, scope: Mapping[str, Any]) -> None:
        Context.__init__(self, environment, dict(scope), None, {})


@pytest.mark.parametrize(("text", "value"), VALUES)
def test_a_value_is_the_same_in_a_context_that_jinja_prepares(text: str, value: Any) -> None:
    assert evaluate(text, sandbox=Sandbox(JinjaEvaluation)) == value == evaluate(text)


def test_a_body_that_was_not_kept_is_an_error_only_where_it_is_read() -> None:
    assert evaluate("{{ request.json.n if request.size == 0 }}", None) is None
    with pytest.raises(ExpressionError, match=r"the body has .* bytes and only 16,777,216 are kept"):
        evaluate("{{ request.json.n }}", None)


@pytest.mark.parametrize("null", ["request.json.none", "request.json.missing", "request.query.missing", "none"])
@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("{{ NULL }}", None),
        ("<{{ NULL }}>", "<>"),
        ("{{ NULL.a.b.c }}", None),
        ("{{ NULL['a'][0] }}", None),
        ("{{ NULL | default('d') }}", "d"),
        ("{{ NULL or 'd' }}", "d"),
        ("{{ NULL == none }}", True),
        ("{{ NULL is none }}", True),
        ("{{ NULL is defined }}", False),
        ("{{ [NULL] }}", [None]),
        ("{{ NULL | iso8601 }}", None),
        ("{{ {'a': NULL} | tojson }}", '{"a":null}'),
    ],
)
def test_missing_values_are_null(text: str, null: str, value: Any) -> None:
    assert evaluate(text.replace("NULL", f"({null})" if null == "none" else null)) == value


@pytest.mark.parametrize("null", ["request.json.none", "request.json.missing.a", "request.json.list[1]", "nulls[0]"])
@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("{{ 'x' in NULL }}", False),
        ("{{ 'x' is in(NULL) }}", False),
        ("{{ NULL[1:] }}", None),
        ("{{ NULL | list }}", []),
        ("{{ NULL | items | list }}", []),
        ("{{ [NULL] | map('length') | list }}", [0]),
        ("{{ [[NULL]] | map('first') | map('length') | list }}", [0]),
        ("{% for x in [NULL] %}{{ x | length }}{% endfor %}", "0"),
        ("{{ NULL | length }}", 0),
        ("{{ NULL | join(',') }}", ""),
        ("{% for x in NULL %}{{ x }}{% else %}empty{% endfor %}", "empty"),
    ],
)
def test_null_is_empty_to_iterate(text: str, null: str, value: Any) -> None:
    nulls = "{% set nulls = request.json.list[1:] %}" if "nulls" in null else ""

    assert evaluate(nulls + text.replace("NULL", null)) == (to_text(value) if nulls else value)


def test_a_dot_on_data_is_a_key_and_never_a_method() -> None:
    assert evaluate("{{ request.json.deep.items }}") == "a key"
    assert evaluate("{{ request.json.deep.values }}") is None
    assert evaluate("{{ request.json.text.upper }}") is None


def test_a_value_is_never_evaluated_as_an_expression() -> None:
    assert evaluate("{{ request.json.text }}") == "{{ 7*7 }}"
    assert evaluate("<{{ request.json.text }}>") == "<{{ 7*7 }}>"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{{ requst.json }}", "there is no 'requst' here; did you mean 'request'?"),
        ("{{ request.jsn }}", "request has no 'jsn'; did you mean 'json'?"),
        ("{{ request['jsn'].a }}", "request has no 'jsn'; did you mean 'json'?"),
        ("{{ job.staus }}", "job has no 'staus'; did you mean 'status'?"),
        ("{{ job.request.bdy }}", "job.request has no 'bdy'"),
        ("{{ vars.verdct }}", "vars has no 'verdct'; did you mean 'verdict'?"),
        ("{{ random.hx(3) }}", "random has no 'hx'"),
        ("{{ request.json | defalt('') }}", "there is no filter `defalt`"),
        ("{{ request.json ", "it is not closed"),
        ("{% include 'x' %}", "include cannot be used"),
        (
            "{{ env.MISSING }}",
            "the environment variable MISSING is not set: set it, or write {{ env.MISSING | default('…') }}",
        ),
        ("{{ env['MISSING'] }}", "the environment variable MISSING is not set"),
    ],
)
def test_an_unknown_name_is_an_error_at_load(text: str, says: str) -> None:
    with pytest.raises(MocksError) as raised:
        Compiler({"CALLBACK": "x"}).compile(text, PLACE, NAMES)

    assert str(raised.value).startswith("mocks.yaml:7: mocks[0].response.json: ")
    assert says in str(raised.value)


def test_env_is_read_at_load() -> None:
    compiler = Compiler({"PORT": "80"})

    assert compiler.compile("http://app:{{ env.PORT }}/", PLACE, {"env": None}) == "http://app:80/"
    assert compiler.compile("{{ env.DELAY | default('5s') }}", PLACE, {"env": None}) == "5s"
    assert isinstance(compiler.compile("{{ env.PORT }}{{ job.id }}", PLACE, NAMES), Expression)


@pytest.mark.parametrize(
    "text",
    [
        "{{ request.json.none + 1 }}",
        "{{ 1 / 0 }}",
        "{{ request.json.n() }}",
        "{{ request.json.text < 3 }}",
        "{{ 'no json' | from_json }}",
        "{{ 'x' | unix }}",
    ],
)
def test_an_expression_that_fails_is_an_error_with_its_place(text: str) -> None:
    with pytest.raises(ExpressionError, match=r"^mocks\.yaml:7: mocks\[0\]\.response\.json: the expression failed: \S"):
        evaluate(text + "{{ now }}")


@pytest.mark.parametrize("filter_", ["iso8601", "unix", "strftime('%Y')"])
def test_a_long_text_is_not_converted_to_a_time(filter_: str) -> None:
    assert evaluate("{{ ('0' * 99 + '1' if now) | " + filter_ + " }}") == evaluate("{{ (1 if now) | " + filter_ + " }}")
    with pytest.raises(ExpressionError, match=r"a text of 101 characters is too long for a time in seconds$"):
        evaluate("{{ ('0' * 101 if now) | " + filter_ + " }}")


def test_a_body_that_is_not_json_is_null() -> None:
    assert evaluate("{{ request.json.n | default('none') }}", body=b"%PDF-1.7") == "none"


def test_every_value_has_a_text() -> None:
    assert [to_text(value) for value in (None, True, 1, 1.5, "é", [1], {"a": None})] == [
        *("", "true", "1", "1.5", "é", "[1]", '{"a":null}')
    ]
