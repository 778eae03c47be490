"""Requests at a rate, in threads."""

import http.client
import json
import threading
import time

from support.limits import LIMIT
from support.waiting import wait_until


class Load:
    """Posts at a rate per second, and remembers the jobs whose requests were answered.

    It goes on when the proxy dies. Each of its threads has its own times, and catches up when it is late.
    """

    def __init__(self, rate: float, threads: int = 8) -> None:
        self.answered: list[str] = []
        self.refused = 0  # requests that got a 503
        self.broken_off = 0
        self._pause = threads / rate
        self._port = 0
        self._done = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(n / rate,), daemon=True) for n in range(threads)]

    def send_to(self, port: int) -> None:
        """Post to a port from now on, or to nobody if it is 0."""
        self._port = port

    def wait_for_more(self, count: int) -> None:
        """Wait until so many more requests are answered."""
        wanted = len(self.answered) + count
        wait_until(lambda: len(self.answered) >= wanted, f"{count} more responses")

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        for thread in self._threads:
            thread.join(LIMIT)

    def _run(self, first: float) -> None:
        while not self._done.wait(0.005):
            if port := self._port:
                self._post_to(port, time.monotonic() + first)

    def _post_to(self, port: int, due: float) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=LIMIT)
        sent = False
        try:
            connection.connect()
            while not self._done.wait(max(due - time.monotonic(), 0.0)) and port == self._port:
                due += self._pause
                sent = True
                connection.request("POST", "http://api.slow.example/jobs", b"{}")
                response = connection.getresponse()
                body = response.read()
                sent = False
                if response.status == 200:
                    self.answered.append(json.loads(body)["id"])
                self.refused += response.status == 503
        except (OSError, http.client.HTTPException):
            self.broken_off += sent  # otherwise the proxy was down, and no request was sent
        finally:
            connection.close()
