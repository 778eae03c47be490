"""Log lines: all packages write to one logger, whose filter redacts secrets."""

import logging

from latehook.base.redaction import Redaction

LOGGER = "latehook"
"""The only logger: a logger's filter does not see records of its child loggers."""


class RedactingFilter(logging.Filter):
    """Redacts secrets in lines and their tracebacks before any handler sees them."""

    def __init__(self, redaction: Redaction) -> None:
        super().__init__()
        self._redaction = redaction

    def filter(self, record: logging.LogRecord) -> bool:
        line = record.getMessage()
        if record.exc_info:
            line += "\n" + _FORMATTER.formatException(record.exc_info)
        record.exc_info = record.exc_text = (
            None  # mitmproxy's handlers would format the exception again, with its secrets
        )
        record.msg, record.args = self._redaction.redact(line), ()
        return True


_FORMATTER = logging.Formatter()
