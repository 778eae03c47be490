"""PURE: hold what a client sends in a tunnel until it is known which hosts it names, one request after the other."""

from latehook.proxy.http1_messages import Body
from latehook.proxy.http2_frames import Frames
from latehook.proxy.sniffing import END_OF_HEAD, HTTP2_PREFACE, Kind, Opening, read_opening, read_socks

_BODY = Opening(Kind.BODY)


class Requests:
    """The bytes of a client. Call `read` and, if what it returns may pass, `take`."""

    def __init__(self, have_passed: bool = False) -> None:
        self.held = bytearray()
        self.have_passed = have_passed
        """Whether something has passed to the server."""
        self.are_over = False
        """Whether what follows is not HTTP that can be read: TLS, or another protocol."""
        self._body: Body | None = None
        self._frames: Frames | None = None
        self._size = 0
        self._expects_socks = False  # a SOCKS5 client has greeted

    @property
    def are_http2(self) -> bool:
        return self._frames is not None

    def read(self) -> Opening:
        """Return what the held bytes begin with. Raises Unreadable if the next request cannot be found."""
        held = bytes(self.held)
        if self._body is not None and not self._body.has_ended:
            self._size = self._body.take(held)
            return _BODY
        read = read_socks if self._expects_socks else read_opening
        opening = read(held) if self._frames is None else _BODY
        if opening.kind is Kind.HTTP2:
            self._frames = Frames(held.index(HTTP2_PREFACE, opening.front) + len(HTTP2_PREFACE))
        if self._frames is not None:
            return self._frames.read(held)
        if opening.kind is Kind.HTTP1:
            self._size = _end_of_head(held, opening.front)
        else:
            self._size = opening.front + opening.size if opening.size else len(held)
        return opening

    def take(self, opening: Opening) -> bytes:
        """Return the bytes of what `read` has returned; they are no longer held. Raises Unreadable."""
        size = self._size if self._frames is None else self._frames.take()
        data = bytes(self.held[:size])
        del self.held[:size]
        self.have_passed = True
        self._expects_socks = opening.kind is Kind.SOCKS_GREETING
        if self._frames is None and opening.kind not in (Kind.BODY, Kind.SOCKS_GREETING, Kind.SOCKS):
            behind = data[opening.front :]
            self._body = Body(behind) if opening.kind is Kind.HTTP1 else None
            self.are_over = self._body is None and bool(behind.strip(b"\r\n"))
        return data


def _end_of_head(data: bytes, front: int) -> int:
    """Return the size of the first head, with the `front` bytes and the empty lines before it."""
    start = len(data) - len(data[front:].lstrip(b"\r\n"))
    end = END_OF_HEAD.search(data, start)
    return len(data) if end is None else end.end()


def method_of(head: bytes) -> bytes:
    """Return the method of a request."""
    return head.split(None, 1)[0]
