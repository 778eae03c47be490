"""PURE: values that PostgreSQL cannot hold as they are."""

NUL, SYMBOL_FOR_NUL = "\0", "\u2400"


def storable(text: str) -> str:
    """Return a text as a column has it: PostgreSQL's texts have no NUL. Raises UnicodeEncodeError for half a surrogate.

    The columns of texts are for searches and for people; the value of a row has its own copy.
    """
    text.encode()
    return text.replace(NUL, SYMBOL_FOR_NUL) if NUL in text else text
