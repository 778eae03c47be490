"""The colours of the page have enough contrast (WCAG 2.2 AA): texts 4.5, marks and the frames of fields 3."""

import re
from itertools import product

import pytest

from support.paths import ROOT

STYLE = (ROOT / "addon" / "latehook" / "control" / "page" / "style.css").read_text()
LIGHT, DARK = (dict(re.findall(r"--(\w+): (#\w+);", rule)) for rule in re.findall(r":root \{(.*?)\}", STYLE, re.DOTALL))
GROUNDS = ("paper", "back", "hover", "chosen")
TEXTS = ("ink", "soft", "blue", "green", "red", "amber", "violet")


def luminance(colour: str) -> float:
    """Return the relative luminance of `#rgb` or `#rrggbb`, as WCAG defines it."""
    digits = colour[1:] if len(colour) == 7 else "".join(2 * digit for digit in colour[1:])
    parts = [int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize("colours", [LIGHT, DARK], ids=["light", "dark"])
def test_every_text_and_mark_stands_out_from_every_ground(colours: dict[str, str]) -> None:
    needed = dict.fromkeys(product(TEXTS, GROUNDS), 4.5) | dict.fromkeys(product(["field"], GROUNDS), 3.0)
    found = {pair: contrast(colours[pair[0]], colours[pair[1]]) for pair in needed}

    assert {pair: value for pair, value in found.items() if value < needed[pair]} == {}
