"""Where a proxy is, and what points a process at it."""

from pathlib import Path

from msgspec import Struct

from latehook.base.control_path import CONTROL_PATH
from latehook.base.hostnames import host_in_url

LOCAL = "localhost,127.0.0.1,::1"
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


class Place(Struct, frozen=True):
    """A proxy's address, and the file with the authorities that its clients trust."""

    host: str
    port: int
    ca_bundle: Path
    token: str | None = None

    @property
    def proxy(self) -> str:
        return f"http://{host_in_url(self.host)}:{self.port}"

    @property
    def control(self) -> str:
        return f"{self.proxy}{CONTROL_PATH}/"

    @property
    def headers(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self.token}"} if self.token else {}

    def env(self) -> dict[str, str]:
        """What points a process at the proxy."""
        return {
            **dict.fromkeys(PROXIES, self.proxy),
            **dict.fromkeys(NO_PROXIES, LOCAL),
            "NODE_USE_ENV_PROXY": "1",  # Node 24's own fetch reads the variables above only with this
            **dict.fromkeys(CA_BUNDLES, str(self.ca_bundle)),
        }
