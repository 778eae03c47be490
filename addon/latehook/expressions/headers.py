"""PURE: headers as expressions see them."""

from collections.abc import Iterator, Mapping, Sequence

from latehook.bodies.charsets import UTF_8, decode_charset
from latehook.expressions.values import AnnotatedText


class HeadersView(Mapping[str, AnnotatedText]):
    """Headers by name, in any case; `headers.x_foo` is the header `x-foo`.

    A header that was sent several times gives its first value; the filter `all` gives every one.
    """

    def __init__(self, fields: Sequence[tuple[bytes, bytes]]) -> None:
        self._values: dict[str, list[bytes]] = {}
        for name, value in fields:
            self._values.setdefault(name.decode("latin-1").lower(), []).append(value)

    def __getitem__(self, name: str) -> AnnotatedText:
        """Return a header's value. Raises BodyError for one that is not UTF-8, KeyError for one that was not sent."""
        name = name.lower()
        if name not in self._values:
            name = name.replace("_", "-")
        values = self._values[name]
        if name == "cookie" and len(values) > 1:  # HTTP/2 may send one field for each cookie (RFC 9113 section 8.2.3)
            values = [b"; ".join(values)]
        texts = tuple(decode_charset(value, UTF_8, f"the header {name!r}") for value in values)
        return AnnotatedText(texts[0], all_values=texts)

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)
