"""The table of body kinds."""

from typing import Any

import pytest

from latehook.base.errors import Place
from latehook.expressions.compiler import Compiler
from latehook.mocks.bodies import (
    KINDS,
    BodySpec,
    FileBody,
    FileSpec,
    FormBody,
    JsonBody,
    MultipartBody,
    TextBody,
    XmlBody,
)
from latehook.mocksfile.shared_entries import Bodies

PLACE = Place("mocks.yaml", 1)


def test_every_kind_is_a_key_of_mocks_files() -> None:
    assert set(KINDS) == set(Bodies.__struct_fields__)


@pytest.mark.parametrize(
    ("kind", "value", "words"),
    [
        (JsonBody, {"a": 1, "b": 2}, "JSON: a, b"),
        (JsonBody, [1], "JSON [1]"),
        (XmlBody, {"a": 1}, "XML: a"),
        (FormBody, {"a": 1}, "a form body: a"),
        (TextBody, "ok", "the text ok"),
        (FileBody, FileSpec(b"", "a.pdf", "application/pdf"), "the file a.pdf"),
        (MultipartBody, {"a": 1}, "a multipart body: a"),
    ],
)
def test_every_kind_describes_itself(kind: type[BodySpec], value: Any, words: str) -> None:
    assert kind(value, PLACE, Compiler({}).renderer(value)).describe() == words
