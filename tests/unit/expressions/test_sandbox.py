"""Expressions cannot reach Python's objects behind the data."""

import re

import pytest

from latehook.base.errors import ExpressionError, MocksError
from latehook.expressions.compiler import Compiler
from support.expressions import PLACE, evaluate

# https://jinja.palletsprojects.com/en/stable/sandbox/ and published escapes from it and from similar sandboxes

OBJECTS = [
    "''",
    "[]",
    "{}",
    "()",
    "1",
    "request",
    "request.json",
    "request.headers",
    "request.path",
    "job",
    "jobs",
    "env",
]
OBJECTS += [
    "now",
    "uuid",
    "random",
    "random.hex",
    "range",
    "namespace",
    "namespace(a=1)",
    "cycler",
    "self",
    "(1,)|map('upper')",
]
HIDDEN_NAMES = ["__class__", "__init__", "__globals__", "__mro__", "__subclasses__", "__self__", "__func__", "__code__"]
HIDDEN_NAMES += [
    "__dict__",
    "__builtins__",
    "gi_frame",
    "format",
    "mro",
    "_request",
    "_job",
    "_read",
    "_source",
    "plain",
]
LOOKUPS = ["({}).{}", "({})['{}']", "({}) | attr('{}')", "([{}] | map(attribute='{}') | list)[0]"]


@pytest.mark.parametrize("name", HIDDEN_NAMES)
@pytest.mark.parametrize("way", LOOKUPS)
def test_no_object_has_a_member_of_python(way: str, name: str) -> None:
    check_members(OBJECTS, way, name)


def check_members(objects: list[str], way: str, name: str) -> None:
    """Check that each object has no member of this name, with one text for all: compiling is what takes time."""
    try:
        assert evaluate("".join("{{ " + way.format(of, name) + " is none }}," for of in objects)) == "true," * len(
            objects
        )
    except MocksError as error:  # a name that does not exist
        if len(objects) == 1:
            assert re.search(r"there is no|has no|is not set", str(error))
            return
        half = len(objects) // 2
        check_members(objects[:half], way, name)
        check_members(objects[half:], way, name)


@pytest.mark.parametrize(
    "text",
    [
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ ''['__cl' ~ 'ass__'] }}",
        "{{ [].__class__.__base__.__subclasses__()[40]('/etc/passwd').read() }}",
        "{{ '{0.__class__.__mro__}'.format('') }}",
        "{{ '{0.__class__}' | attr('format') }}",
        "{{ ('{0.__class__}' | attr('format'))('') }}",
        "{{ '%(a.__class__)s' | format(a='') }}",
        "{{ ['{0.__class__}'] | map('format', request) | list }}",
        "{{ ['{0.__class__.__init__.__globals__}'.format] | map('call') }}",
        "{{ [request] | map('attr', '__init__') | map('attr', '__globals__') | list }}",
        "{{ [request] | sort(attribute='__class__') | list }}",
        "{{ [request, request] | groupby('__class__') | list }}",
        "{{ [request] | selectattr('__class__') | list }}",
        "{{ [request] | sum(attribute='__class__') }}",
        "{{ [''] | map(attribute='__class__.__mro__') | list }}",
        "{{ [request] | join('', attribute='__class__') }}",
        "{% set x = ''.__class__ %}{{ x.__mro__ }}",
        "{% set ns = namespace() %}{% set ns.__class__ = 1 %}{{ ns.__init__ }}",
        "{% for x in [1] %}{{ loop.__class__ }}{{ loop._iterable }}{{ loop._undefined }}{{ loop.cycle.__globals__ }}{% endfor %}",
        "{% macro m() %}{{ caller }}{{ varargs.__class__ }}{% endmacro %}{{ m.__call__ }}{{ m._func }}{{ m._environment }}",
        "{{ missing.__class__ }}{{ missing.__init__.__globals__ }}",
        "{{ request.json.missing.__init__.__globals__ }}{{ request.json.missing._fail_with_undefined_error }}",
        "{{ request.json.missing._undefined_exception }}{{ request.json.missing._undefined_obj }}",
        "{{ (([1] | map('upper')) | attr('gi_frame')).f_globals }}",
        "{{ ([1] | select).gi_frame.f_back.f_builtins }}",
        "{{ uuid.__globals__ }}{{ uuid.__closure__ }}{{ random.hex.__func__.__globals__ }}",
        "{{ random._source }}{{ random.__init__ }}{{ random.plain }}{{ random.data }}",
        "{{ request._request.headers }}{{ job._job }}{{ job._moment.random }}{{ jobs._read }}",
        "{{ request.headers._values }}{{ request.path.parts }}{{ request.path.all_values }}{{ request.path.__class__ }}",
        "{{ config }}",
        "{{ self }}",
        "{{ self.__init__ }}",
        "{{ self._TemplateReference__context.environment }}",
        "{{ lipsum.__globals__ }}",
        "{{ cycler.__init__.__globals__.os.popen('id').read() }}",
        "{{ joiner.__init__ }}",
        "{{ dict.__base__ }}",
        "{{ __import__('os') }}",
        "{{ context.environment }}",
        "{{ environment }}{{ eval_ctx }}{{ resolve }}",
        "{% import 'os' as os %}",
        "{% from 'os' import path %}",
        "{% include '/etc/passwd' %}",
        "{% extends 'x' %}",
        "{% block x %}{% endblock %}",
        "{% do [].append(1) %}",
        "{% trans %}{% endtrans %}",
        "{% debug %}",
        "{{ request.__getattribute__('_request') }}",
        "{{ request.headers.pop('x') }}",
        "{{ request.json.deep.clear() }}",
        "{{ request.json.list.append(1) }}",
        "{{ env.update({}) }}",
        "{{ 'x' | pprint }}",
        "{{ [1] | random }}",
        "{{ request.json | attr('__class__') | attr('__mro__') | last }}",
        "{{ ''|attr(['__cla','ss__']|join) }}",
        "{{ ()|attr('\\x5f\\x5fclass\\x5f\\x5f') }}",
        "{{ request['\\x5f\\x5fclass\\x5f\\x5f'] }}",
        "{{ (''.join | attr('__self__')) }}",
    ],
)
def test_a_published_escape_gives_null_or_an_error(text: str) -> None:
    try:
        value = evaluate(text)
    except (MocksError, ExpressionError):
        return
    text = str(value)
    assert not any(
        word in text for word in ("<", "object at", "class", "function", "module", "root:", "Environment")
    ), text


def test_a_variable_that_an_expression_sets_is_its_own() -> None:
    compiler = Compiler({"A": "1"})
    scope = {**compiler.constants(), "data": {"list": [1]}}
    names = {"data": None}
    setting = compiler.compile(
        "{{ data.list }}{% set data = 2 %}{% set range = 4 %}{{ data }}{{ range }}", PLACE, names
    )
    reading = compiler.compile("{{ range(2) | list }}{{ data.list }}", PLACE, names)

    assert [setting(scope), reading(scope), setting(scope)] == ["[1]24", "[0,1][1]", "[1]24"]
