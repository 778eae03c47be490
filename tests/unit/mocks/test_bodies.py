"""The table of body kinds."""

import pytest

from latehook.base.errors import Place
from latehook.mocks.bodies import KINDS, FileBody, FileSpec, FormBody, JsonBody, MultipartBody, TextBody, XmlBody
from latehook.mocksfile.shared_entries import Bodies

PLACE = Place("mocks.yaml", 1)


def test_every_kind_is_a_key_of_mocks_files() -> None:
    assert set(KINDS) == set(Bodies.__struct_fields__)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (JsonBody({"a": 1, "b": 2}, PLACE), "JSON: a, b"),
        (JsonBody([1], PLACE), "JSON [1]"),
        (XmlBody({"a": 1}, PLACE), "XML: a"),
        (FormBody({"a": 1}, PLACE), "a form body: a"),
        (TextBody("ok", PLACE), "the text ok"),
        (FileBody(FileSpec(b"", "a.pdf", "application/pdf"), PLACE), "the file a.pdf"),
        (MultipartBody({"a": 1}, PLACE), "a multipart body: a"),
    ],
)
def test_every_kind_describes_itself(body: JsonBody, words: str) -> None:
    assert body.describe() == words
