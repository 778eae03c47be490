"""Mocks as a test gives them: the path of a file, YAML text, or a dict."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from latehook.base.errors import LatehookError
from latehook.base.json_text import encode_json
from latehook.client import failures

__tracebackhide__ = failures.hides_frames

Mocks = str | Path | Mapping[str, Any]
"""The path of a mocks file, YAML text, or a dict with what such a file contains."""

_SUFFIXES = (".yaml", ".yml", ".json")


class MocksText(Struct, frozen=True):
    """The text of mocks. `file` is where it is from, None if it is from no file.

    Files that it names are looked for in `folders`.
    """

    content: str
    folders: Sequence[Path]
    content_type: str = "application/yaml"
    file: Path | None = None

    def read_file(self, name: str, wanted: str) -> bytes:
        """Return the content of a file that the mocks name. `wanted` is what the proxy says about it.

        Raises LatehookError if it cannot be read. A file that the mocks do not name is never read: the proxy asks for
        it, and may be another's.
        """
        if name not in self.content and encode_json(name)[1:-1].decode() not in self.content:
            raise LatehookError(f"the mocks do not contain the name of the file {name!r}: write it as it is. {wanted}")
        candidates = [folder / Path(name).expanduser() for folder in self.folders]
        for file in candidates:
            if file.is_file():
                return file.read_bytes()
        tried = " or ".join(str(file) for file in dict.fromkeys(candidates))
        place = wanted.partition(": the content of the file")[0]
        raise LatehookError(f"{place}: there is no file {name!r}: it was looked for as {tried}")


def read_mocks(mocks: Mocks, folders: Sequence[Path]) -> MocksText:
    """Return the text of mocks. A relative path is looked for in each of the folders, in order.

    A `str` of one line that ends in `.yaml`, `.yml` or `.json` is a path; any other is YAML. Raises LatehookError if no
    folder has the file.
    """
    if isinstance(mocks, Mapping):
        return MocksText(msgspec.json.format(encode_json(mocks), indent=1).decode(), folders, "application/json")
    if isinstance(mocks, str) and ("\n" in mocks or not mocks.endswith(_SUFFIXES)):
        return MocksText(mocks, folders)
    candidates = [folder / Path(mocks).expanduser() for folder in folders]
    for file in candidates:
        if file.is_file():
            return MocksText(file.read_text(encoding="utf-8"), [file.parent], file=file)
    tried = " or ".join(str(file) for file in dict.fromkeys(candidates))
    raise LatehookError(f"there is no mocks file {str(mocks)!r}: it was looked for as {tried}")
