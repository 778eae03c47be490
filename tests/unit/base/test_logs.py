"""Log lines: texts of others cannot forge a line or control a terminal."""

import io
import logging
import unicodedata
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from latehook.base.logs import RedactingFilter
from latehook.base.redaction import Redaction


@pytest.fixture
def output() -> Iterator[io.StringIO]:
    """What a handler of a logger with the filter writes."""
    stream = io.StringIO()
    log, handler, redacting = (
        logging.getLogger("test of log lines"),
        logging.StreamHandler(stream),
        RedactingFilter(Redaction(["s3cret-value"])),
    )
    log.addHandler(handler)
    log.addFilter(redacting)
    log.propagate = False
    yield stream
    log.removeHandler(handler)
    log.removeFilter(redacting)


@given(text=st.text(st.one_of(st.characters(categories=["Cc", "Cf", "Zl", "Zp"]), st.characters()), max_size=40))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_message_is_one_line_without_control_characters(output: io.StringIO, text: str) -> None:
    output.seek(0)
    output.truncate()
    logging.getLogger("test of log lines").warning("job %s: delivered", text)

    written = output.getvalue()
    assert written.endswith(": delivered\n")
    assert not any(unicodedata.category(character) in ("Cc", "Zl", "Zp") for character in written[:-1])
    assert not set(written) & set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f")


def test_what_was_there_can_be_read(output: io.StringIO) -> None:
    logging.getLogger("test of log lines").warning("job %s", "a\nb\x1b[31m\u202e ü 漢 s3cret-value")

    assert output.getvalue() == "job a\\nb\\x1b[31m\\u202e ü 漢 ***\n"


def test_a_traceback_keeps_its_lines(output: io.StringIO) -> None:
    try:
        raise ValueError("bad \x1b[2J value")
    except ValueError:
        logging.getLogger("test of log lines").exception("it failed")

    assert output.getvalue().startswith("it failed\nTraceback (most recent call last):\n")
    assert output.getvalue().endswith("ValueError: bad \\x1b[2J value\n")
