"""PURE: numbers of things in messages."""


def number_of(count: int, noun: str) -> str:
    """Return a number with its noun: `1 request`, `2 requests`, `3 guesses`."""
    plural = noun[:-1] + "ies" if noun.endswith("y") else noun + ("es" if noun.endswith("ss") else "s")
    return f"{count} {noun if count == 1 else plural}"
