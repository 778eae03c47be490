"""PURE: recognises opaque values (ids, tokens), and makes expressions that give new ones of the same shape."""

import re
from functools import lru_cache
from itertools import pairwise
from typing import Any

_UUID = r"[{0}]{{8}}-[{0}]{{4}}-[{0}]{{4}}-[{0}]{{4}}-[{0}]{{12}}"
_PIECE = re.compile(rf"(?P<uuid>{_UUID.format('0-9a-f')}|{_UUID.format('0-9A-F')})|(?P<run>[A-Za-z0-9]{{9,}})")
MIN_HEX = 12
MIN_MIXED = 10
MIN_DIGITS = 9
MIN_NUMBER: int = 10**8
MAX_LENGTH = 400

_ID_KEY = re.compile(
    r"(^|[a-z_-])(u?id|sid|uuid|guid|token|ref|reference|name|nonce|challenge(_string)?|etag)$"
    r"|(Id|ID|Sid|Uuid|Guid|Token|Ref|Reference|Nonce)$"
)
"""Names of fields that hold an id, in snake case and camel case."""


def is_id_key(key: Any) -> bool:
    """Return whether a field of this name usually holds an id."""
    return isinstance(key, str) and _ID_KEY.search(key) is not None


def is_opaque(value: Any) -> bool:
    """Return whether a value looks like an id or a token: a text with such a part, or a long number."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value >= MIN_NUMBER
    return isinstance(value, str) and len(value) <= MAX_LENGTH and _is_opaque(value)


@lru_cache(8192)  # each value is compared with all later ones
def _is_opaque(value: str) -> bool:
    return re.search(r"\s", value) is None and any(_kind(found) is not None for found in _PIECE.finditer(value))


def generator(value: Any) -> str:
    """Return a text with expressions that gives another value of the same shape."""
    if isinstance(value, int):
        length = max(len(str(value)), 6)
        return f"{{{{ random.int(10**{length - 1}, 10**{length} - 1) }}}}"
    text = "".join(_pieces(str(value)))
    if "{{" not in text:  # nothing in it looks random: a short id, such as 17
        return f"{{{{ random.base62({max(len(str(value)), 8)}) }}}}"
    whole = re.fullmatch(r"\{\{ (random\.int\([^{}]*\)) \}\}", text)
    return f"{{{{ {whole[1]} | string }}}}" if whole else text


def _pieces(text: str) -> list[str]:
    """Return the parts of a text, with expressions for those that look random."""
    parts, end = [], 0
    for found in _PIECE.finditer(text):
        kind = _kind(found)
        if kind is None:
            continue
        parts += [literal(text[end : found.start()]), _expression(kind, found[0])]
        end = found.end()
    return [*parts, literal(text[end:])]


def literal(text: str) -> str:
    """Return a text as a mocks file writes it: braces that would begin an expression become one."""
    return re.sub(r"\{[{%#]", lambda found: "{{ '" + found[0] + "' }}", text)


def _expression(kind: str, text: str) -> str:
    length = len(text)
    if kind == "uuid":
        return "{{ uuid() | upper }}" if text.isupper() else "{{ uuid() }}"
    if kind == "digits":
        return f"{{{{ random.int(10**{length - 1}, 10**{length} - 1) }}}}"
    if kind == "prefixed":
        return f"{text[:2]}{{{{ random.hex({length - 2}) }}}}"
    if kind == "hex":
        return f"{{{{ random.hex({length}) }}}}"
    case = " | lower" if text.islower() or not re.search("[A-Za-z]", text) else " | upper" if text.isupper() else ""
    return f"{{{{ random.base62({length}){case} }}}}"


def _kind(found: re.Match[str]) -> str | None:
    """Return what a part of a text looks like; None for a word or a short number."""
    text = found[0]
    if found["uuid"]:
        return "uuid"
    if text.isdigit():
        return "digits" if len(text) >= MIN_DIGITS else None
    if re.fullmatch(r"[0-9a-f]+", text) and len(text) >= MIN_HEX and re.search(r"\d", text):
        return "hex"
    if re.fullmatch(r"[A-Z]{2}[0-9a-f]{32}", text):  # the ids of Twilio
        return "prefixed"
    return "mixed" if len(text) >= MIN_MIXED and _is_mixed(text) else None


def _is_mixed(text: str) -> bool:
    """Return whether letters and digits, or upper and lower case, change as often as in random text."""
    kinds = ["0" if character.isdigit() else "A" if character.isupper() else "a" for character in text]
    changes = sum(first != second for first, second in pairwise(kinds))
    if changes * 3 >= len(text) or (changes >= 4 and "0" in kinds and len(text) >= 16):
        return True
    return changes <= 1 + kinds.count("0") * 2 and _is_no_word(text)


_COMMON = (
    "th he in er an re nd at on nt ha es st en ed to it ou ea hi is or ti as te et ng of al de se le sa si ar ve "
    "ra ld ur ro li ri io ic ne me co ma ce ch ll be us la ta el om ho ec fo di ac em pe tr ca so pr un ns ai ge "
    "po ul wi no we ss ee ot rs il ut im ie na mo os sh pl su am id mi ow ct ay gh ry ke ly pa bu ev ir ab op ad "
    "do ts if ni ig up ag lo ep ap ck ub ex ob va fi ue cr cl fe qu ty wo vi gr av tu ef nc iv sc by ci bl ov da "
    "ft ff oo gi sp br lu ei rt ia um od pi ol rm rd pt ak ik ba fr ew ht mp go nk rk au ua ze iz nn tt rr"
)
_PAIRS = frozenset(_COMMON.split())
"""Pairs of letters that words of English consist of: nine in ten pairs of a word, three in ten of random letters."""


def _is_no_word(text: str) -> bool:
    """Return whether the letters of a text are unlikely behind each other in a word, or in several."""
    pairs = [first + second for first, second in pairwise(text.lower()) if (first + second).isalpha()]
    has_digits = re.search(r"[A-Za-z]\d+[A-Za-z]", text) is not None
    if len(pairs) < 6 or not (has_digits or len(text) >= 14):
        return False
    return sum(pair in _PAIRS for pair in pairs) < (0.55 if has_digits else 0.5) * len(pairs)
