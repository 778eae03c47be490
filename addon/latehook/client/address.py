"""The address of a proxy, and the environment variables that make a process use it."""

from pathlib import Path

from msgspec import Struct

from latehook.api.defaults import PREFIX
from latehook.base.hostnames import host_in_url

LOOPBACK = "localhost,127.0.0.1,::1"
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy")
NO_PROXIES = ("NO_PROXY", "no_proxy")
CA_BUNDLES = (
    "SSL_CERT_FILE",  # OpenSSL, and with it Python's httpx, Ruby, Go
    "CURL_CA_BUNDLE",
    "REQUESTS_CA_BUNDLE",
    "NODE_EXTRA_CA_CERTS",
    "AWS_CA_BUNDLE",
    "GIT_SSL_CAINFO",
    "PIP_CERT",
    "DENO_CERT",
    "CARGO_HTTP_CAINFO",
    "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH",
)


class ProxyAddress(Struct, frozen=True):
    """Where a proxy listens, a file with the CA certificates that its clients should trust, and the API's token."""

    host: str
    port: int
    ca_bundle: Path
    token: str | None = None

    @property
    def proxy(self) -> str:
        """The proxy's URL."""
        return f"http://{host_in_url(self.host)}:{self.port}"

    @property
    def control(self) -> str:
        """The URL before each path of the control API."""
        return f"{self.proxy}{PREFIX}"

    @property
    def headers(self) -> dict[str, str]:
        """The headers of each request to the control API."""
        return {"authorization": f"Bearer {self.token}"} if self.token else {}

    def env(self) -> dict[str, str]:
        """Return the environment variables that make a process use the proxy and trust its certificates."""
        return {
            **dict.fromkeys(PROXIES, self.proxy),
            **dict.fromkeys(NO_PROXIES, LOOPBACK),
            "NODE_USE_ENV_PROXY": "1",  # Node 24's own fetch reads the variables above only with this
            **dict.fromkeys(CA_BUNDLES, str(self.ca_bundle)),
        }
