"""A client for tests of the control API, which asserts what the responses must be."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlencode

import httpx

from support.limits import LIMIT
from support.process import Proxy
from support.receivers import Receiver


class ControlApi:
    """The control API of a proxy, and the requests and webhooks of its SUT."""

    def __init__(self, proxy: Proxy, sut: Receiver) -> None:
        self.proxy = proxy
        self.sut = sut
        self.http = httpx.Client(base_url=f"{proxy.url}/_latehook/", timeout=LIMIT, trust_env=False)
        self.client = httpx.Client(proxy=proxy.url, timeout=LIMIT, trust_env=False)

    def get(self, path: str, **query: Any) -> Any:
        """Return the JSON of a GET."""
        got = self.http.get(f"{path}?{urlencode(query, doseq=True)}" if query else path)
        assert got.status_code == 200, got.text
        return got.json()

    def post(self, path: str, status: int = 200, **body: Any) -> Any:
        """POST a JSON object; return the JSON of the response, which must have this status."""
        got = self.http.post(path, json=body)
        assert got.status_code == status, got.text
        return got.json()

    def problem(self, status: int, method: str, path: str, **options: Any) -> str:
        """Send a request that is refused; return the detail of the problem."""
        got = self.http.request(method, path, **options)
        assert (got.status_code, got.headers["content-type"]) == (status, "application/problem+json"), got.text
        problem = got.json()
        assert (problem["status"], problem["type"]) == (status, "about:blank")
        return problem["detail"]

    def ids(self, path: str, **query: Any) -> list[str]:
        """Return the job of each item of a list."""
        return [item.get("job") or item["id"] for item in self.get(path, **query)["items"]]

    def order(self, id: str, what: str = "orders", **more: Any) -> httpx.Response:
        """Send the SUT's request that starts the job with this id; `what` is orders or letters."""
        return self.client.post(f"http://api.slow.example/{what}", json={"id": id, **more})

    def webhook(self, job: str) -> Any:
        """Return the only webhook of a job."""
        [webhook] = self.get("webhooks", job=job)["items"]
        return webhook

    def states(self) -> dict[str, str]:
        """Return the state of each webhook by its job."""
        return {webhook["job"]: webhook["state"] for webhook in self.get("webhooks")["items"]}


@contextmanager
def unanswered(sut: Receiver) -> Iterator[None]:
    """Let the receiver answer only at the end of the block."""
    release = threading.Event()
    answers = sut.behave
    sut.behave = lambda handler, number: (release.wait(LIMIT), answers(handler, number))  # type: ignore[func-returns-value]
    try:
        yield
    finally:
        release.set()
        sut.behave = answers
