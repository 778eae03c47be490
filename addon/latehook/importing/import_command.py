"""The command `latehook import`: an OpenAPI document in, a mocks file out."""

import argparse
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from latehook.base.counting import number_of
from latehook.base.errors import LatehookError
from latehook.importing import writing, yaml_text
from latehook.importing.openapi.choice import choose, listing
from latehook.importing.openapi.lives import Choice
from latehook.importing.openapi.mocks import Imported, import_
from latehook.importing.openapi.validate import validated
from latehook.openapi.document import Document, NotReadable
from latehook.openapi.reading import read_document

MAX_SIZE = 64 * 1024 * 1024
"""Bytes of one file."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument("file", type=Path, metavar="FILE", help="an OpenAPI document (3.0, 3.1, 3.2), YAML or JSON")
    parser.add_argument("--only", action="append", default=[], metavar="'METHOD /path'",
                        help="an operation to mock; may be repeated. Without it, the command lists them")  # fmt: skip
    parser.add_argument("--on", action="append", default=[], metavar="'METHOD /path=WEBHOOK'",
                        help="send this webhook of the document after this request; may be repeated")  # fmt: skip
    parser.add_argument("--host", metavar="HOST", help="the host of the mocks (default: the document's first server)")
    parser.add_argument("-o", dest="output", type=Path, default=writing.STANDARD_OUTPUT, metavar="FILE",
                        help="the mocks file to write; it must not exist (default: -, standard output)")  # fmt: skip


def run(arguments: argparse.Namespace) -> int:
    """Write the mocks file, or list what the document offers. Raises LatehookError."""
    file: Path = arguments.file
    output: Path = arguments.output
    document = open_document(file)
    if not (arguments.only or arguments.on):
        print("\n".join(listing(document, str(file))))
        return 0
    writing.check_output(output)
    choice = choose(document, arguments.only, arguments.on, arguments.host)
    imported = import_(document, choice)
    if not imported.mocks:
        raise LatehookError("no mock can be made: " + "; ".join(imported.left_out))
    name = os.path.relpath(file, "." if output == writing.STANDARD_OUTPUT else output.parent)
    beside, notes = validated(imported.mocks, choice.all, name) if choice.all else ({}, [])
    text = mocks_file(imported, document, choice, file, beside)
    writing.check_text(text, output)
    writing.write(text, output, {})
    print("\n".join([*_summary(imported, output, text), *(f"  {note}" for note in notes)]), file=sys.stderr)
    return 0


def open_document(file: Path) -> Document:
    """Return the document of a file. Raises LatehookError."""
    try:
        data = _read(file)
    except NotReadable as error:
        raise LatehookError(f"{file} cannot be read: {error}") from None
    return Document(data, file.name, _loader(file.parent))


def _loader(folder: Path) -> Callable[[str], Any]:
    """Return a function that reads the files that a document refers to: they are relative to its folder."""

    def load(name: str) -> Any:
        try:
            return _read(folder / name)
        except LatehookError as error:
            raise NotReadable(str(error)) from None

    return load


def _read(file: Path) -> Any:
    """Return the data of a file. Raises NotReadable, and LatehookError for what is neither YAML nor JSON."""
    try:
        if file.exists() and not file.is_file():
            raise NotReadable("it is no file")
        if file.stat().st_size > MAX_SIZE:
            raise NotReadable(f"it has more than {MAX_SIZE // 1024 // 1024} MiB")
        return read_document(file.read_text("utf-8-sig"), str(file))
    except OSError as error:
        raise NotReadable(error.strerror or "it is no file") from None
    except UnicodeDecodeError:
        raise NotReadable("it is not text in UTF-8") from None


def mocks_file(imported: Imported, document: Document, choice: Choice, file: Path, beside: Mapping[str, Any]) -> str:
    """Return the text of the mocks file. `beside` are the keys beside `mocks`."""
    count = len(imported.mocks)
    head = [
        f"Made by `latehook import` from {file.name} (OpenAPI {document.version}): "
        f"{count} of {number_of(len(choice.all), 'operation')}.",
        "Values are the document's examples; it says nothing of times. Look at the lines with `guessed:`.",
    ]
    return yaml_text.write(imported.mocks, head, [f"left out: {line}" for line in imported.left_out], beside)


def _summary(imported: Imported, output: Path, text: str) -> list[str]:
    """Return the lines for the terminal."""
    marks = ("# guessed:", "# not sent:", "# not compared")
    lines = [
        f"  line {number}: {line.partition('# ')[2]}"
        for number, line in enumerate(text.splitlines(), 1)
        if any(mark in line for mark in marks) and "`guessed:`" not in line
    ]
    left_out = [f"  left out: {line}" for line in imported.left_out]
    return [f"{output}: {number_of(len(imported.mocks), 'mock')}", *lines, *left_out]
