"""PURE: keeps secrets and personal data out of mocks files.

A value is recognised by the name of its field, by its shape, or because it occurs elsewhere in the recordings where
one of the two recognises it. Secrets become expressions that give random values; personal data becomes reserved values.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import unquote

from latehook.base.urls import split_url
from latehook.importing.exchanges import Exchange, KeyPath, Message, leaves
from latehook.importing.shapes import is_opaque, literal

SECRET_KEY = re.compile(
    r"secret|passw(or)?d|passphrase|pwd$|api_?key|access_?key|private_?key|(^|_)key$|key_?id$|auth(orization)?$"
    r"|auth_?header_?value|signature|(^|_)sig(n)?$|credential|cookie|session(_?id)?$|bearer|token$|jwt$|otp$|^pin$|cv[cv]2?$"
)
NOT_SECRET_KEY = re.compile(
    r"^(public|publishable|idempotency|sort|order|group|partition|primary|foreign)_?key$|has_|is_"
)
SHORT_SECRET_KEY = re.compile(r"^pin$|cv[cv]2?$|otp$")

PERSONAL_KEYS: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern), reserved)
    for pattern, reserved in (
        (r"e_?mail(_?address)?$|^mail$", "user@example.com"),
        (r"(^|_)(phone|mobile|tel|telephone|fax|msisdn|cell|sms)(_?(number|no))?$", "+15555550100"),
        (r"(^|_)(first|given|fore|middle)_?name$|(^|_)name_(first|given|middle)$", "Jane"),
        (r"(^|_)(last|family|maiden|sur)_?name$|(^|_)name_(last|family|sur)$", "Doe"),
        (
            r"(^|_)(full|legal|display|holder|cardholder|user|nick|contact|customer|account_?holder|billing|recipient|signer)_?name$",
            "Jane Doe",
        ),
        (r"username$|^login$|^nickname$", "user"),
        (r"(^|_)(street|address|addr|line_?[123]|address_?line_?\d|house_?number)(_?\d)?$", "1 Example Street"),
        (r"(^|_)city$|^town$|locality$", "Exampletown"),
        (r"(^|_)(zip|post(al)?)(_?code)?$", "00000"),
        (r"birth|(^|_)dob$", "1970-01-01"),
        (
            r"(^|_)(ssn|social_security.*|tax_?(id|number)|national_?id|passport.*|id_?number|license_?(number|no))$",
            "000-00-0000",
        ),
        (r"(^|_)iban$", "DE89370400440532013000"),
        (r"(^|_)(card_?number|pan)$", "4242424242424242"),
        (r"account_?(number|no)$|routing_?number$|sort_?code$|bic$", "000000000"),
        (r"(^|_)(ip|ip_?addr(ess)?)$", "192.0.2.1"),
        (r"(^|_)(lat|latitude|lng|lon|longitude)$", "0"),
        (r"gender$|ethnicity$|nationality$|religion$", "unknown"),
    )
)
"""The names of fields that hold personal data, in snake case, and the reserved value that replaces it."""

_RECEIVER = re.compile(r"(^|_)(recipients?|to|from|destination|originator|sender|receiver|caller|callee|called)$")
_NUMBER = re.compile(r"\+?\d{9,15}(,\+?\d{9,15})*")
"""What the phone number of somebody looks like whom a message or a call goes to, or comes from."""

PERSONS = re.compile(
    r"customer|user|person|contact|recipient|owner|patient|employee|applicant|holder|billing|shipping|sender|signer"
    r"|author|buyer|payer|payee|member|guest|passenger|student|driver|individual|assignee|requester|from|to$"
)
"""Names of maps that describe a person: their `name` is that of a person."""

_SHAPES: tuple[tuple[re.Pattern[str], str], ...] = (
    (
        re.compile(
            r"-----BEGIN (?!CERTIFICATE|PUBLIC KEY|RSA PUBLIC)[A-Z0-9 ]+-----.*?(-----END [A-Z0-9 ]+-----|$)", re.DOTALL
        ),
        "***",
    ),
    (re.compile(r"eyJ[\w-]{5,}\.[\w-]{5,}(\.[\w-]*)?"), "***"),  # a JSON Web Token
    (
        re.compile(
            r"(?<![\w-])(sk|pk|rk)_(live|test)_\w{8,}|whsec_[\w+/=]{8,}|xox[abeprs]-[\w-]{8,}|gh[pousr]_\w{16,}"
            r"|github_pat_\w{20,}|glpat-[\w-]{16,}|A[KS]IA[0-9A-Z]{12,}|AIza[\w-]{20,}|ya29\.[\w-]+|r8_\w{16,}"
            r"|SG\.[\w-]{10,}\.[\w-]{10,}|shp(at|ca|pa|ss)_\w{16,}|sk-[\w-]{20,}|npm_\w{20,}|hf_\w{20,}"
        ),
        "***",
    ),
    (
        re.compile(
            r"(?i)(?<=[?&;])(x-amz-(signature|credential|security-token)|signature|sig|token|access_token|key|api_?key|"
            r"auth|x-goog-(signature|credential)|awsaccesskeyid|policy|password|code|secret|se|sv|st)=[^&#\s\"']+"
        ),
        "",
    ),
    (re.compile(r"(?i)\b(bearer|basic|token|apikey) +[\w.~+/=-]{8,}"), "***"),
    (re.compile(r"(?<=://)[^/\s:@]+:[^/\s@]+(?=@)"), "user:***"),
    (re.compile(r"[\w.+%-]+(@|%40)[\w-]+(\.[\w-]+)*\.[A-Za-z]{2,}"), "user@example.com"),
    (
        re.compile(r"(?<!\w)(\+|%2B)\d[\d ()./-]{6,16}\d(?!\w)|(?<![\w-])\(?\d{3}\)?[ .-]\d{3}[ .-]\d{4}(?![\w-])"),
        "+15555550100",
    ),
    (re.compile(r"(?<![\w-])\d{3}-\d{2}-\d{4}(?![\w-])"), "000-00-0000"),
)
"""What secrets and personal data look like in a text, and what replaces it."""

_IBAN = re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){3,7}(?: ?[A-Z0-9]{1,3})?\b")
_CARD = re.compile(r"(?<![\w.-])[3-6]\d{3}(?:[ -]?\d){9,15}(?![\w-])")
_ADDRESS = re.compile(r"(?<![\w.])(?!10\.|127\.|0\.|192\.168\.|192\.0\.2\.)\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}(?![\w.])")
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|-|\.|\s")
_NAME = re.compile(r"[^\W\d_][^\d_/\\@:{}<>]{0,99}")
"""What the name of a person looks like."""

_SCHEME = re.compile(r"^(?i:bearer|basic|token|digest|negotiate|apikey|oauth) +")
"""How a header begins that has credentials: these words are no secret."""

MIN_TAINT = 5
"""Characters of the shortest value that is also replaced inside other texts."""


def snake(key: Any) -> str:
    """Return a field's name in snake case, without a prefix of XML."""
    return _snake(str(key))


@lru_cache(4096)  # the same few names come in each message
def _snake(key: str) -> str:
    return _CAMEL.sub("_", key.rpartition(":")[2].lstrip("@")).lower()


class Scrubber:
    """Replaces secrets and personal data in the values of these recordings.

    `secrets` are the values of environment variables that must not appear, with the variables' names.
    """

    def __init__(self, exchanges: Iterable[Exchange], secrets: Mapping[str, str]) -> None:
        exchanges = list(exchanges)
        self._tainted: dict[str, str] = {}
        self._counts = Counter(text for one in exchanges for text in _opaque_texts(one))
        self.secrets = {value: name for value, name in secrets.items() if value}
        for exchange in exchanges:
            for message, is_request in ((exchange.request, True), (exchange.response, False)):
                self._collect(message, exchange.query if is_request else [])
        for value in self.secrets:
            self._tainted[value] = "***"
        longest_first = sorted(self._tainted, key=lambda text: (-len(text), text))
        pattern = "|".join(
            rf"(?<!\w){re.escape(text)}(?!\w)" if text not in self.secrets else re.escape(text)
            for text in longest_first
        )
        self._pattern = re.compile(pattern) if pattern else None

    def _collect(self, message: Message, query: Iterable[tuple[str, str]]) -> None:
        for name, value in message.headers:
            if SECRET_KEY.search(snake(name)) or snake(name) in ("x_amz_security_token", "set_cookie"):
                for part in re.split(r"[;,\s]\s*", _SCHEME.sub("", value)):
                    self._taint(part.partition("=")[2] or part, "***")
        found: list[tuple[KeyPath, Any]] = [((name,), value) for name, value in query] + list(
            leaves(message.body.value)
        )
        for path, value in found:
            replaced = self._by_key(path, value)
            if replaced is not None:
                self._taint(str(value), replaced)
            if isinstance(value, str) and "://" in value and "@" in value:
                parts = split_url(value)
                self._taint(unquote(parts.password or "") if parts else "", "***")

    def _taint(self, text: str, replacement: str) -> None:
        if (len(text) >= MIN_TAINT and not text.isdigit()) or (text.isdigit() and len(text) >= 7):
            self._tainted.setdefault(text, replacement)

    def clean(self, path: KeyPath, value: Any) -> tuple[Any, str | None]:
        """Return a value as the mocks file may have it, and what was replaced: `secret`, `personal data` or None.

        Texts in the result are those of a mocks file: they may have expressions.
        """
        if isinstance(value, bool) or value is None or isinstance(value, float):
            return value, None
        by_key = self._by_key(path, value)
        if by_key is not None:
            if by_key == "***":
                return new_secret(str(value)), "secret"
            return (int(by_key) if isinstance(value, int) and by_key.isdigit() else by_key), "personal data"
        text = str(value)
        cleaned = self.clean_text(text)
        if cleaned == text:
            return (literal(text) if isinstance(value, str) else value), None
        if isinstance(value, int) and not cleaned.isdigit():
            cleaned = "0"
        return (
            int(cleaned) if isinstance(value, int) else literal(cleaned)
        ), "personal data" if "***" not in cleaned else "secret"

    def is_repeated(self, value: Any) -> bool:
        """Return whether several exchanges have an opaque value: it is not new in each message."""
        return self._counts[str(value)] > 1

    def is_secret(self, path: KeyPath, value: Any) -> bool:
        """Return whether a field's name says that its value is a secret."""
        return self._by_key(path, value) == "***"

    def clean_id(self, id: Any) -> Any:
        """Return an id without personal data in it. Another one is made like it, so it may be secret."""
        if not isinstance(id, str) or ("@" in id and is_opaque(id.partition("@")[0])):  # the id of a mail
            return id
        return _without_shapes(id)

    def clean_text(self, text: str) -> str:
        """Return a text with everything replaced that looks like a secret or personal data."""
        if self._pattern is not None:
            text = self._pattern.sub(lambda found: self._tainted[found[0]], text)
        return _without_shapes(text)

    def _by_key(self, path: KeyPath, value: Any) -> str | None:
        """Return what replaces a value because of its field's name: *** for a secret; None if the name says nothing."""
        keys = [snake(key) for key in path if isinstance(key, str)]
        if not keys or isinstance(value, (bool, dict, list)) or value in (None, ""):
            return None
        key = keys[-1]
        text = str(value)
        is_long = (isinstance(value, str) and len(text) >= 4) or is_opaque(value)
        if SECRET_KEY.search(key) and not NOT_SECRET_KEY.search(key) and (is_long or SHORT_SECRET_KEY.search(key)):
            return "***"
        for pattern, reserved in PERSONAL_KEYS:
            if pattern.search(key) and (isinstance(value, str) or text.isdigit()):
                return reserved if "name" not in key or _NAME.fullmatch(text) else None
        if _RECEIVER.search(key) and _NUMBER.fullmatch(text):
            return "15555550100"
        if (
            key in ("name", "value")
            and isinstance(value, str)
            and any(PERSONS.search(parent) for parent in keys[-3:-1])
            and _NAME.fullmatch(text)
        ):
            return "Jane Doe"
        return None


def _opaque_texts(exchange: Exchange) -> set[str]:
    bodies = (exchange.request.body.value, exchange.response.body.value)
    return {str(value) for body in bodies for _, value in leaves(body) if is_opaque(value)}


@lru_cache(4096)  # each value is looked at many times, with each explanation that it may have
def _without_shapes(text: str) -> str:
    """Return a text without what looks like a secret or personal data."""
    for pattern, replacement in _SHAPES:
        text = pattern.sub(replacement or (lambda found: f"{found[0].partition('=')[0]}=***"), text)
    text = _IBAN.sub(lambda found: "DE89370400440532013000" if _is_iban(found[0]) else found[0], text)
    text = _CARD.sub(lambda found: "4242424242424242" if _luhn(found[0]) else found[0], text)
    return _ADDRESS.sub(
        lambda found: "192.0.2.1" if all(int(part) < 256 for part in found[0].split(".")) else found[0], text
    )


def new_secret(text: str) -> str:
    """Return an expression for another secret: only what is known to be a public prefix stays."""
    prefix = re.match(
        r"(?:[a-z]{2,5}_(?:test|live)_|whsec_|gh[pousr]_|xox[abeprs]-|_secret_|Bearer |Basic |Token )?", text
    )
    kept = "" if prefix is None else prefix[0]
    return f"{kept}{{{{ random.base62({min(max(len(text) - len(kept), 8), 100)}) }}}}"


def _is_iban(text: str) -> bool:
    """Return whether a text has the check digits of a bank account's number (ISO 13616, modulo 97)."""
    compact = text.replace(" ", "")
    return int("".join(str(int(character, 36)) for character in compact[4:] + compact[:4])) % 97 == 1


def _luhn(text: str) -> bool:
    """Return whether digits end with the check digit of a card number (ISO/IEC 7812-1, annex B)."""
    digits = [int(character) for character in text if character.isdigit()]
    doubled = [digit * 2 - 9 if digit > 4 else digit * 2 for digit in digits[-2::-2]]
    return (sum(doubled) + sum(digits[-1::-2])) % 10 == 0
