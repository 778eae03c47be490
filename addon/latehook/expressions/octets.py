"""PURE: bytes as values of expressions."""


class Octets:
    """Bytes that need not be text, such as the body of an image.

    An expression can give them to `b64encode`, `sha256` and `length`, compare them, and make a body of them. Where they
    are used as text, they must be UTF-8.
    """

    __slots__ = ("raw",)

    def __init__(self, raw: bytes) -> None:
        self.raw = raw

    def __len__(self) -> int:
        return len(self.raw)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, str):
            return self.raw == other.encode("utf-8", "surrogatepass")
        return isinstance(other, Octets) and self.raw == other.raw

    def __hash__(self) -> int:
        return hash(self.raw)

    def text(self) -> str:
        """Return the bytes as UTF-8 text. Raises ValueError for others."""
        try:
            return self.raw.decode()
        except UnicodeDecodeError as error:
            found = f"byte 0x{self.raw[error.start]:02x} at {error.start}"
            raise ValueError(f"these bytes are no UTF-8 text ({found}): write `| b64encode`") from None
