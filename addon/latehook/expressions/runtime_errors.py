"""PURE: what Python and Jinja say about an expression that failed, in plain words."""

import re

_KINDS = {
    **dict.fromkeys(("int", "float", "NumberAsWritten"), "a number"),
    **dict.fromkeys(("str", "AnnotatedText"), "a text"),
    **dict.fromkeys(("list", "tuple", "range", "generator", "JobsView"), "a list"),
    **dict.fromkeys(("dict", "HeadersView", "RequestView", "ResponseView", "JobView", "WebhookView"), "a map"),
    **dict.fromkeys(("function", "method", "builtin_function_or_method"), "a function"),
    **dict.fromkeys(("NoneType", "Null"), "null"),
    "bool": "true or false",
    "Octets": "bytes",
}
"""Python's types → what a mocks file calls their values."""

_ARGUMENTS = r".*\(\) "
_MESSAGES = (
    (r"(.+) is undefined", "{0} is null or missing: write `| default(…)` behind it, or test it first"),
    (r"can only concatenate str \(not \"(\w+)\"\) to str", "`+` cannot take a text and {kind0}: `~` joins any values"),
    (
        r"unsupported operand type\(s\) for \+: '(\w+)' and '(?:str|AnnotatedText)'",
        "`+` cannot take {kind0} and a text: `~` joins any values",
    ),
    (r"can only concatenate (\w+) \(not \"(\w+)\"\) to \w+", "`+` cannot take {kind0} and {kind1}"),
    (
        r"unsupported operand type\(s\) for (\S+)(?: or pow\(\))?: '(\w+)' and '(\w+)'",
        "`{0}` cannot take {kind1} and {kind2}",
    ),
    (r"bad operand type for unary (\S): '(\w+)'", "`{0}` cannot take {kind1}"),
    (r"'(\S+)' not supported between instances of '(\w+)' and '(\w+)'", "`{0}` cannot compare {kind1} with {kind2}"),
    (r".*(?:division|modulo) by zero", "division by zero"),
    (r"'(\w+)' object is not callable", "{kind0} cannot be called: leave out the parentheses"),
    (r"(?:argument of type )?'(\w+)' (?:object )?is not .*iterable", "{kind0} has no items"),
    (r"object of type '(\w+)' has no len\(\)", "{kind0} has no items"),
    (r"'in <string>' requires string as left operand, not (\w+)", "only a text can be `in` a text, not {kind0}"),
    (r".*unhashable type: '(\w+)'.*", "{kind0} cannot be the key of a map"),
    (r"slice indices must be integers.*", "the places in `[from:to]` must be whole numbers"),
    (r"'(\w+)' object cannot be interpreted as an integer", "there is {kind0} where a whole number should be"),
    (r"a (?:function|method|Macro) is not data", "a function is not data: call it, as in `uuid()`"),
    (r"(?:float|int)\(\) argument must be .*, not '(\w+)'", "there is {kind0} where a number should be"),
    (r"could not convert string to float: (.*)", "{0} is not a number"),
    (r"type (\w+) doesn't define __round__ method", "{kind0} cannot be rounded"),
    (rf"{_ARGUMENTS}missing \d+ required (?:positional|keyword-only) arguments?: (.*)", "an argument is missing: {0}"),
    (rf"{_ARGUMENTS}takes .*positional arguments?.* given", "there are too many arguments"),
    (rf"{_ARGUMENTS}got an unexpected keyword argument (.*)", "there is no argument {0}"),
    (rf"{_ARGUMENTS}got multiple values for argument (.*)", "the argument {0} is there twice"),
    (r"(%\w) format: a .*number is required, not (\w+)", "`{0}` takes a number, not {kind1}"),
    (r"not enough arguments for format string", "the format needs more values"),
    (r"not all arguments converted during string formatting", "there are more values than the format takes"),
    (r"unsupported format character '(.+)' .*", "the format has `%{0}`, which does not exist"),
    (r"Range too big\..*\((\d+)\)\.", "a range may have {0} numbers"),
    (r"No (filter|test) named '(.*)'(?: found)?\.", "there is no {0} `{1}`"),
    (r"No aggregated item, sequence was empty\.", "the list is empty"),
    (r"strip arg must be None or str", "`trim` takes the characters to remove as a text"),
    (r"(?:timestamp|year -?\d+ is|date value) out of range.*", "the time is not in the years 1 to 9999"),
)
"""Patterns of messages, and what they mean: `{0}` is what the first group finds, `{kind0}` the type with that name."""


def in_plain_words(error: Exception) -> str:
    """Return what an error means; a message that is not known stays as it is."""
    if isinstance(error, RecursionError):
        return "its data is nested too deeply"
    message = str(error)
    for pattern, meaning in _MESSAGES:
        if (found := re.fullmatch(pattern, message, re.DOTALL)) is not None:
            groups = found.groups()
            kinds = {f"kind{number}": _KINDS.get(group, f"a {group}") for number, group in enumerate(groups)}
            return meaning.format(*groups, **kinds)
    return message or type(error).__name__
