"""Log lines: all rooms write theirs to one logger, which hides secrets in them."""

import logging

from latehook.base.redaction import Redaction

LOGGER = "latehook"
"""The one logger: a filter of a logger sees only what is written to itself, not to those below it."""


class RedactingFilter(logging.Filter):
    """Hides secrets in lines and their tracebacks, before any handler sees them."""

    def __init__(self, redaction: Redaction) -> None:
        super().__init__()
        self._redaction = redaction

    def filter(self, record: logging.LogRecord) -> bool:
        line = record.getMessage()
        if record.exc_info:
            line += "\n" + _FORMATTER.formatException(record.exc_info)
        record.exc_info = record.exc_text = None  # mitmproxy would write it from the exception
        record.msg, record.args = self._redaction.redact(line), ()
        return True


_FORMATTER = logging.Formatter()
