"""The addon that Latehook is compared with: the least that an addon which answers requests can be."""

from mitmproxy import http


def request(flow: http.HTTPFlow) -> None:
    flow.response = http.Response.make(
        200, b'{"identifier":"none","success":true}', {"content-type": "application/json"}
    )
