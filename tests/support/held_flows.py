"""The flows that mitmweb holds (its option `intercept`): edit them, resume them, kill them, as its page does."""

from typing import Any

import httpx

from support.limits import LIMIT
from support.waiting import wait_until


class HeldFlows:
    """A client of the web interface of a mitmweb that `process.mitmweb` has started, on this port."""

    def __init__(self, web: int) -> None:
        self._http = httpx.Client(base_url=f"http://127.0.0.1:{web}", timeout=LIMIT, trust_env=False)
        self._http.get("/", params={"token": "open"}).raise_for_status()
        self._http.headers["x-xsrftoken"] = token = "00" * 16
        for cookie in ("_mitmproxy_xsrf", "_xsrf"):  # its name in mitmproxy 12.3.1, and in 12.2.1
            self._http.cookies[cookie] = token

    def __enter__(self) -> "HeldFlows":
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def set_filter(self, text: str) -> None:
        """Hold the flows that match this filter from now on."""
        self._http.put("/options", json={"intercept": text}).raise_for_status()

    def wait(self) -> dict[str, Any]:
        """Return the flow that is held, as soon as there is one."""

        def held() -> dict[str, Any] | None:
            return next((flow for flow in self._http.get("/flows").json() if flow["intercepted"]), None)

        return wait_until(held, "a held flow")

    def edit(self, id: str, **request: Any) -> None:
        """Change these parts of a held flow's request: `content`, `path`, `method`."""
        self._http.put(f"/flows/{id}", json={"request": request}).raise_for_status()

    def resume(self, id: str) -> None:
        self._http.post(f"/flows/{id}/resume").raise_for_status()

    def kill(self, id: str) -> None:
        self._http.post(f"/flows/{id}/kill").raise_for_status()
