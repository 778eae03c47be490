"""Log lines. All modules write to one logger, which redacts secrets and escapes control characters."""

import logging

from latehook.base.redaction import Redaction

LOGGER = "latehook"
"""The name of the one logger. A filter of a logger does not see the lines of the loggers below it."""


class RedactingFilter(logging.Filter):
    """Redacts secrets in lines and their tracebacks before any handler sees them.

    Texts of others, such as an id or a URL, cannot forge a line or control a terminal: control characters are escaped.
    """

    def __init__(self, redaction: Redaction) -> None:
        super().__init__()
        self._redaction = redaction

    def filter(self, record: logging.LogRecord) -> bool:
        line = self._redaction.redact(record.getMessage()).translate(_ESCAPED)
        if record.exc_info:
            traceback = self._redaction.redact(_FORMATTER.formatException(record.exc_info))
            line += "\n" + traceback.translate(_ESCAPED_BUT_LINE_BREAKS)
        record.exc_info = record.exc_text = None  # mitmproxy would format the exception again
        record.msg, record.args = line, ()
        return True


_FORMATTER = logging.Formatter()
_CONTROL = (
    *range(0x20),
    *range(0x7F, 0xA0),
    *(0x200E, 0x200F, 0x2028, 0x2029),  # direction marks, line and paragraph separators
    *range(0x202A, 0x202F),  # embeddings and overrides of the direction of text
    *range(0x2066, 0x206A),  # isolates
    *range(0xD800, 0xE000),  # lone surrogates, which no encoding can write
)
_ESCAPED = {code: chr(code).encode("unicode_escape").decode() for code in _CONTROL}
_ESCAPED_BUT_LINE_BREAKS = {code: escaped for code, escaped in _ESCAPED.items() if code != ord("\n")}
