"""PURE: which of the mocks that were made can compare their requests with the document."""

from collections.abc import Sequence
from typing import Any

from latehook.base.errors import LatehookError
from latehook.mocks import matching
from latehook.openapi.matching import operation_for
from latehook.openapi.operations import Operation
from latehook.openapi.schemas import EXTRA, MissingExtra, Schemas
from latehook.openapi.validation import Validation


def validated(
    mocks: Sequence[tuple[list[str], dict[str, Any]]], every: Sequence[Operation], name: str
) -> tuple[dict[str, Any], list[str]]:
    """Return the keys beside `mocks` by which requests are compared, and what to say about it.

    A mock whose operation has a schema that is not valid gets `validate: off`. `name` is the document's file, relative
    to the mocks file.
    """
    try:
        schemas = Schemas(every[0].document)
    except MissingExtra:
        return {}, [f"requests are not compared with the document: {EXTRA}, and import again"]
    made: list[Validation | LatehookError] = []
    for _, mock in mocks:
        try:
            made.append(Validation(operation_for(matching.parse(mock["match"]), every), schemas, refuses=False))
        except LatehookError as error:
            made.append(error)
    for (comments, mock), validation in zip(mocks, made, strict=True):
        try:
            if isinstance(validation, LatehookError):
                raise validation
            validation.compile()
        except LatehookError as error:
            comments.append(f"not compared with the document: {error}")
            mock["validate"] = "off"
    return {"openapi": name, "defaults": {"validate": "warn"}}, []
