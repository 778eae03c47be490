"""PURE: writes plain data as the YAML of a mocks file, with comments above the mocks."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from latehook.base.json_text import encode_json

WIDTH = 110
"""Characters of a line in which a list or map is written inside brackets."""

_EXPRESSIONS = ("match", "when", "lookup")
"""Keys whose texts are often written without quotes, though they have brackets."""

_PLAIN = re.compile(r"[A-Za-z_/][\w ./|+@-]*(?::[\w/.@-]+)*|(?:\d+(?:ms|[smhd]))+", re.ASCII)
_WORDS = re.compile(
    r"(?i)true|false|null|yes|no|on|off|y|n|~|\.inf|\.nan|[-+]?(\d[\d_]*)?\.?\d*(e[-+]?\d+)?|0x[0-9a-f]+|0o[0-7]+"
)


def write(
    mocks: Sequence[tuple[Sequence[str], dict[str, Any]]],
    head: Sequence[str],
    foot: Sequence[str],
    beside: Mapping[str, Any] | None = None,
) -> str:
    """Return a mocks file. Each mock has the lines of its comment; `head` and `foot` are comments too.

    `beside` are the keys beside `mocks`.
    """
    lines = [_comment(line) for line in head]
    lines += [line for key, value in (beside or {}).items() for line in _pair(key, value, 0)]
    lines.append("mocks:" if mocks else "mocks: []")
    for at, (comments, mock) in enumerate(mocks):
        lines += [""] if at else []
        lines += [f"  {_comment(line)}" for line in comments]
        lines += _item(mock, 2)
    if foot:
        lines += ["", *(_comment(line) for line in foot)]
    return "\n".join(lines) + "\n"


def lines(items: Sequence[Any]) -> list[str]:
    """Return the items of a list as lines of YAML, each with a dash in front."""
    return [line for item in items for line in _item(item, 0)]


def _comment(line: str) -> str:
    printable = "".join(character if character.isprintable() else "?" for character in line)
    return f"# {printable}"


def scalar(value: Any) -> str:
    """Return a scalar as YAML 1.2: a text has quotes only where it needs them."""
    if not isinstance(value, str):
        return encode_json(value).decode()
    if _PLAIN.fullmatch(value) and not _WORDS.fullmatch(value) and value == value.strip():
        return value
    return _quoted(value)


def _quoted(text: str) -> str:
    """Return a text in double quotes. JSON's quoting is also YAML's, but YAML needs more escapes."""
    quoted = json.dumps(text, ensure_ascii=False)
    return re.sub(
        r"[\x7f-\x9f\u2028\u2029\ufeff\ud800-\udfff\ufffe\uffff]", lambda found: f"\\u{ord(found[0]):04x}", quoted
    )


def _flow(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_flow_scalar(key)}: {_flow(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_flow, value)) + "]"
    return _flow_scalar(value)


def _flow_scalar(value: Any) -> str:
    text = scalar(value)
    return (
        text if text[:1] == '"' or not isinstance(value, str) or not re.search(r"[,\[\]{}]", text) else _quoted(value)
    )


def _item(value: Any, indent: int) -> list[str]:
    """Return an item of a list: a dash in front of its first line."""
    pad = " " * indent
    if isinstance(value, (dict, list)) and value and not _fits(value, indent + 2):
        lines = _block(value, indent + 2)
        return [f"{pad}- {lines[0].lstrip()}", *lines[1:]]
    return [f"{pad}- {_flow(value)}"]


def _fits(value: Any, indent: int) -> bool:
    return "match" not in value and len(_flow(value)) + indent <= WIDTH


def _block(value: Any, indent: int) -> list[str]:
    if isinstance(value, list):
        return [line for item in value for line in _item(item, indent)]
    return [line for key, item in value.items() for line in _pair(key, item, indent)]


def _pair(key: Any, value: Any, indent: int) -> Iterator[str]:
    pad = " " * indent
    name = scalar(key)
    if isinstance(value, (dict, list)) and value and len(_flow(value)) + indent + len(name) + 2 > WIDTH:
        yield f"{pad}{name}:"
        yield from _block(value, indent + 2)
    elif key in _EXPRESSIONS and re.fullmatch(r"[A-Za-z(][ -~]*", value) and not re.search(r": | #|:$", value):
        yield f"{pad}{name}: {value}"
    else:
        yield f"{pad}{name}: {_flow(value) if isinstance(value, (dict, list)) else scalar(value)}"
