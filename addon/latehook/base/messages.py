"""PURE: HTTP messages: requests, responses, and what is sent to a receiver. Immutable except `WireTrace`."""

from enum import StrEnum

from msgspec import Struct

from latehook.base.hostnames import DEFAULT_PORTS, host_in_url

Headers = tuple[tuple[str, str], ...]


def content_type_of(headers: Headers) -> str | None:
    """Return the value of the first `Content-Type` header, None if there is none."""
    for name, value in headers:
        if name.lower() == "content-type":
            return value
    return None


class ResponseFault(StrEnum):
    """What the SUT gets on purpose instead of a response."""

    RESET = "reset"  # the connection ends with a TCP reset
    EMPTY = "empty"  # the connection is closed without a response
    TRUNCATE = "truncate"  # the connection is closed in the middle of the response
    HANG = "hang"  # the response stops in the middle, and the connection stays open
    GARBAGE = "garbage"  # bytes are sent that are not HTTP


class WebhookFault(StrEnum):
    """What goes wrong on purpose with an attempt."""

    DROP = "drop"  # it is not sent
    DUPLICATE = "duplicate"  # it is sent twice
    CORRUPT_BODY = "corrupt-body"  # its body is changed after it was signed
    CORRUPT_SIGNATURE = "corrupt-signature"  # its signature is wrong


class FilePart(Struct, frozen=True):
    """A file in a multipart form. `field` is its field's name, `size` is in bytes, `sha256` is hexadecimal."""

    field: str
    filename: str
    type: str
    size: int
    sha256: str


class FormParts(Struct, frozen=True):
    """The fields and files of a form; none where there is an `error`: why they cannot be read."""

    fields: tuple[tuple[str, str], ...] = ()
    files: tuple[FilePart, ...] = ()
    error: str | None = None


class Request(Struct, frozen=True):
    """A request of the system under test, as it was sent.

    `target` is path and query as sent, with escapes for bytes that are not ASCII. `authority` is that of the request
    line, or the `:authority` of HTTP/2. `size` counts all bytes of the body; `body` is None where it was not kept
    (`bodies.codings.MAX_BODY_SIZE`). `parts` and `sha256` are set where they were computed while the body arrived.
    `captures` are names and values: what the mock's `match` captures of the path.
    """

    method: str
    scheme: str
    host: str
    port: int
    target: str
    headers: tuple[tuple[bytes, bytes], ...] = ()
    body: bytes | None = b""
    size: int = 0
    parts: FormParts | None = None
    sha256: str | None = None
    captures: tuple[tuple[str, str], ...] = ()
    authority: str = ""

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    @property
    def query(self) -> str:
        return self.target.partition("?")[2]

    @property
    def url(self) -> str:
        """The whole URL, without the default port of its scheme."""
        port = "" if self.port == DEFAULT_PORTS.get(self.scheme) else f":{self.port}"
        return f"{self.scheme}://{host_in_url(self.host)}{port}{self.target}"


class Response(Struct, frozen=True):
    """The synthetic response to a request."""

    status: int
    headers: Headers = ()
    body: bytes = b""


class Answer(Struct, frozen=True, omit_defaults=True):
    """What a receiver answered to an attempt: a status, headers and a body, or the error that prevented an answer.

    `body` is as it came, with its content codings. `is_cut` says whether it has only the beginning.
    """

    status: int | None
    error: str | None = None
    headers: tuple[tuple[bytes, bytes], ...] = ()
    body: bytes = b""
    is_cut: bool = False

    @property
    def content_type(self) -> str | None:
        """The content type that the receiver named."""
        return next((value.decode("latin-1") for name, value in self.headers if name.lower() == b"content-type"), None)


class ResponseHead(Struct, frozen=True):
    """The head of a receiver's answer. `at` is when it had arrived, in Unix seconds."""

    at: float
    version: str
    status: int
    reason: str
    headers: tuple[tuple[bytes, bytes], ...]


class WireTrace(Struct):
    """What an attempt did on the wire, recorded for mitmproxy's flows. A member is None until it has happened.

    `server` is the address and port that the attempt connects to. `target` and `headers` are what was sent; `sent_at`
    is when the last byte was, in Unix seconds. `body` is that of the answer as it came. After a redirect, `redirected`
    is the request that has followed it, and the members are those of this one.
    """

    server: tuple[str, int] | None = None
    target: str | None = None
    headers: Headers | None = None
    sent_at: float | None = None
    answer: ResponseHead | None = None
    body: bytes | None = None
    redirected: "Outgoing | None" = None


class Outgoing(Struct, frozen=True):
    """One attempt, ready to be sent. `timeout` is in seconds, for the whole attempt.

    `verify` says whether the receiver's certificate is verified, or has the CAs to verify it by, in PEM form. `fault`
    is what goes wrong on purpose. So many `redirects` are followed. The attempt records what it does in `wire`, if it
    has one.
    """

    method: str
    url: str
    headers: Headers
    body: bytes
    timeout: float
    verify: bool | str = True
    fault: WebhookFault | None = None
    redirects: int = 0
    wire: WireTrace | None = None


class Redirect(Struct, frozen=True):
    """An answer to an attempt that was followed: its status, and the URL that it led to."""

    status: int
    url: str


class Outcome(Struct, frozen=True):
    """How an attempt ended: with a status, or with the error that prevented one. Times are Unix seconds.

    `retry_after` is that header of the answer. After a `final` outcome no other attempt is made: it would end the same.
    `body` is decompressed; `answer` is all of the answer as it came, None where there was none. `keeps_open`: the
    receiver has answered, and keeps the connection open.
    """

    started_at: float
    ended_at: float
    status: int | None = None
    error: str | None = None
    body: bytes = b""
    retry_after: str | None = None
    final: bool = False
    redirects: tuple[Redirect, ...] = ()
    answer: Answer | None = None
    keeps_open: bool = False

    @property
    def content_type(self) -> str | None:
        """The content type of the answer."""
        return None if self.answer is None else self.answer.content_type
