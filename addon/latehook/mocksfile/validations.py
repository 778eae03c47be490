"""Gives mocks what compares their requests with an OpenAPI document (`validate`).

The modules for it are imported when a mocks file uses it.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

from msgspec import UNSET

from latehook.base.errors import FileNotSent, LatehookError, MocksError
from latehook.expressions.compiler import Compiler
from latehook.mocks.definitions import Mock
from latehook.mocksfile import entries
from latehook.mocksfile.source import KeyPath, Source
from latehook.mocksfile.values import Values
from latehook.mocksfile.words import VALIDATE_MODES

OFF = "off"
REMEDY = "correct it, or write `validate: off`"


def with_validations(source: Source, file: entries.File, mocks: Sequence[Mock], compiler: Compiler) -> list[Mock]:
    """Return the mocks of a file; those with `validate` compare their requests. Raises MocksError."""
    if file.defaults.validate == OFF and all(one.validate is UNSET for one in file.mocks):
        return list(mocks)
    validations = _Validations(source, file, compiler)
    modes = [validations.mode(at) for at in range(len(file.mocks))]
    wanted = [at for at, mode in enumerate(modes) if mode != OFF and mocks[at].response is not None]
    return validations.add(mocks, modes, wanted) if wanted else list(mocks)


class _Validations:
    def __init__(self, source: Source, file: entries.File, compiler: Compiler) -> None:
        self._values = Values(source, compiler)
        self._file = file

    def mode(self, index: int) -> str:
        """Return whether the requests of a mock are compared: a key of VALIDATE_MODES."""
        own, path = self._file.mocks[index].validate, self._place(index)
        value = self._values.constant(self._file.defaults.validate if own is UNSET else own, path)
        self._values.preset(str(value), VALIDATE_MODES, path, "a value of `validate`")
        return str(value)

    def add(self, mocks: Sequence[Mock], modes: Sequence[str], wanted: Sequence[int]) -> list[Mock]:
        from latehook.openapi.matching import operation_for
        from latehook.openapi.operations import operations
        from latehook.openapi.schemas import MissingExtra, Schemas
        from latehook.openapi.validation import Validation

        result, path = list(mocks), self._place(wanted[0])
        validations: list[tuple[int, Validation]] = []
        if self._file.openapi is UNSET:
            raise self._values.error(path, "the file names no document: write `openapi: FILE` beside `mocks`")
        try:
            document = self._document(str(self._values.constant(self._file.openapi, ("openapi",))))
            schemas, every = Schemas(document), operations(document)
            for at in wanted:
                path = self._place(at)
                validation = Validation(operation_for(mocks[at].matcher, every), schemas, modes[at] == "refuse")
                validations.append((at, validation))
            for at, validation in validations:
                path = self._place(at)
                validation.compile()
                result[at] = replace(mocks[at], validation=validation)
        except MocksError:
            raise
        except LatehookError as error:
            remedy = "" if isinstance(error, MissingExtra) else f": {REMEDY}"
            raise self._values.error(path, f"{error}{remedy}") from None
        return result

    def _place(self, index: int) -> KeyPath:
        """Return the key that says that a mock's requests are compared."""
        is_own = self._file.mocks[index].validate is not UNSET
        return ("mocks", index, "validate") if is_own else ("defaults", "validate")

    def _document(self, name: str) -> Any:
        """Return the document with this name. The files that it refers to are read in the same way."""
        from latehook.openapi.document import Document, NotReadable

        folder = name.rpartition("/")[0]

        def load(file: str) -> Any:
            try:
                return self._read(f"{folder}/{file}" if folder else file)
            except FileNotSent:
                raise
            except MocksError as error:
                raise NotReadable(error.problem) from None

        return Document(self._read(name), name, load)

    def _read(self, name: str) -> Any:
        content = self._values.read_file(name, ("openapi",))
        try:
            return _data(content, name)
        except LatehookError as error:
            raise self._values.error(("openapi",), str(error)) from None


@lru_cache(16)  # a mocks file is loaded again after each edit, and a large document takes seconds
def _data(content: bytes, name: str) -> Any:
    from latehook.openapi.reading import read_document

    return read_document(content.decode("utf-8-sig", "replace"), name)
