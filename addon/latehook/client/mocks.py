"""Mocks as a test gives them: the path of a file, YAML text, or a dict."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from msgspec import Struct

from latehook.base.errors import LatehookError

Mocks = str | Path | Mapping[str, Any]

_FILES = (".yaml", ".yml", ".json")


class Written(Struct, frozen=True):
    """A mocks file's text. `file` is where it stands, None where it is in no file."""

    content: str
    content_type: str = "application/yaml"
    file: Path | None = None


def read_mocks(mocks: Mocks, folders: Sequence[Path]) -> Written:
    """A text of one line that ends in `.yaml`, `.yml` or `.json` is a path, in the first of the folders that has it."""
    if isinstance(mocks, Mapping):
        return Written(json.dumps(mocks, indent=1), "application/json")
    if isinstance(mocks, str) and ("\n" in mocks or not mocks.endswith(_FILES)):
        return Written(mocks)
    places = [folder / Path(mocks).expanduser() for folder in folders]
    for file in places:
        if file.is_file():
            return Written(file.read_text(encoding="utf-8"), file=file)
    looked = " or ".join(str(place) for place in dict.fromkeys(places))
    raise LatehookError(f"there is no mocks file {str(mocks)!r}: it was looked for as {looked}")
