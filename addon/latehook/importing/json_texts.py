"""PURE: templates of data as texts: where a mock has a loop, or a field of a form, its JSON is written as a text."""

import json
import re
from typing import Any

from latehook.importing.sources import quote


def json_text(template: Any) -> str:
    """Return a template of data as a text that gives its JSON."""
    if isinstance(template, dict):
        return "{" + ", ".join(f"{json.dumps(key)}: {json_text(value)}" for key, value in template.items()) + "}"
    if isinstance(template, list):
        return "[" + ", ".join(map(json_text, template)) + "]"
    if isinstance(template, str) and "{{" in template:
        return f"{{{{ {as_expression(template)} | tojson }}}}"
    return json.dumps(template, ensure_ascii=False)


def as_expression(template: Any) -> str:
    """Return a template as one expression, in brackets."""
    parts = re.split(r"\{\{ (.*?) \}\}", template if isinstance(template, str) else json.dumps(template))
    pieces = [part if at % 2 else quote(part) for at, part in enumerate(parts) if part]
    if not pieces:
        return "('')"
    return "(" + (pieces[0] if len(pieces) == 1 else " ~ ".join(f"({piece})" for piece in pieces)) + ")"
