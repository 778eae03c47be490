"""Posted mocks read no files of the proxy's machine: the contents are sent with them."""

from pathlib import Path
from typing import Any

import pytest

from latehook.base.errors import FileNotSent, MocksError
from latehook.base.redaction import Redaction
from latehook.mocksfile.loading import load_text, restore

FILE_KEYS = {
    "response.file": "response: {file: NAME}",
    "response.multipart": "response: {multipart: {a: {file: NAME}}}",
    "webhook.file": "webhook: {to: 'http://app/', file: NAME}",
    "webhook.multipart": "webhook: {to: 'http://app/', multipart: {a: {file: NAME}}}",
    "webhook.sign": "webhook: {to: 'http://app/', sign: {scheme: github, secret: {file: NAME}}}",
    "webhook.verify": "webhook: {to: 'http://app/', verify: NAME}",
    "stages": "stages: [{webhook: {to: 'http://app/', file: NAME}}]",
}
"""The keys of mocks files that name a file."""


def text_of(key: str, name: str) -> str:
    return f"mocks: [{{match: POST api.slow.example/, {FILE_KEYS[key].replace('NAME', name)}}}]"


def test_the_list_of_keys_is_complete() -> None:
    """Whatever reads a file says that it cannot be read: look for the call where one is added."""
    sources = [file.read_text() for file in (Path(load_text.__code__.co_filename).parent).glob("*.py")]

    assert sum(text.count("self.read_file(") + text.count("_values.read_file(") for text in sources) == 4
    assert sum(text.count("read_bytes") + text.count("open(") for text in sources) == 1


@pytest.mark.parametrize("key", FILE_KEYS)
@pytest.mark.parametrize("absolute", [False, True])
def test_a_file_that_was_not_sent_is_not_read(key: str, absolute: bool, tmp_path: Path) -> None:
    (tmp_path / "there.txt").write_text("of the proxy")
    name = str(tmp_path / "there.txt") if absolute else "there.txt"

    with pytest.raises(
        FileNotSent, match=rf"^.*:1: mocks\[0\].*: the content of the file '{name}' was not sent"
    ) as raised:
        load_text(text_of(key, name), str(tmp_path / "mocks.yaml"), {}, {})
    assert raised.value.name == name
    with pytest.raises(FileNotSent):
        load_text(text_of(key, "'{{ env.FILE }}'"), str(tmp_path / "mocks.yaml"), {"FILE": name}, {})


def sent(text: str, **files: bytes) -> Any:
    return load_text(text, None, {}, {}, files).all[0]


def test_the_content_that_was_sent_is_used() -> None:
    mock = sent(text_of("response.file", "a"), a=b"one", b=b"other")

    assert mock.response.body.value.content == b"one"
    assert mock.definition == sent(text_of("response.file", "a"), a=b"one").definition
    assert mock.definition != sent(text_of("response.file", "a"), a=b"two").definition


def test_a_mock_is_restored_with_the_content_that_was_sent() -> None:
    for key in ("webhook.file", "stages"):
        mock = sent(text_of(key, "a"), a=b"\x00one\xff")
        restored = restore(mock.excerpt, {}, Redaction())

        assert restored.stages[0].webhook.body.value.content == b"\x00one\xff"  # type: ignore[union-attr]
        assert restored.definition == mock.definition


def test_a_posted_mock_that_is_restored_reads_no_file_either(tmp_path: Path) -> None:
    mock = sent("mocks: [{match: POST api.slow.example/, webhook: {to: 'http://app/'}}]")
    changed = mock.excerpt.replace(b'"webhook":{', b'"response":{"file":"/etc/hostname"},"webhook":{')

    assert changed != mock.excerpt
    with pytest.raises(FileNotSent):
        restore(changed, {}, Redaction())


def test_authorities_that_were_sent_are_checked() -> None:
    with pytest.raises(MocksError, match="'ca' has no certificate in PEM form"):
        sent(text_of("webhook.verify", "ca"), ca=b"none")
