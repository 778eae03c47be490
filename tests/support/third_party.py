"""A third party that counts its connections, so that a test can show that there was none."""

from dataclasses import dataclass

from support.receivers import Receiver

MOCKS = """
mocks:
  - {{match: 'GET localhost:{port}/health', response: forward}}
  - {{match: 'GET localhost:{tls_port}/health', response: forward}}
  - match: ANY localhost:{port}/api
    response: {{json: {{mocked: true}}}}
    webhook: {{after: 1h, to: "http://127.0.0.1:9/"}}
  - match: ANY localhost:{tls_port}/api
    response: {{json: {{mocked: true}}}}
    webhook: {{after: 1h, to: "http://127.0.0.1:9/"}}
  - match: ANY by-address.example/api
    response: {{json: {{mocked: true}}}}
    webhook: {{after: 1h, to: "http://127.0.0.1:9/"}}
"""


@dataclass
class ThirdParty:
    """A third party over http and https. Its path `/api` is mocked; `ca` is the file of the CA of its certificate."""

    plain: Receiver
    tls: Receiver
    ca: str

    @property
    def connections(self) -> int:
        """How often somebody has connected."""
        return self.plain.connections + self.tls.connections

    @property
    def mocks(self) -> str:
        """The mocks file for it."""
        return MOCKS.format(port=self.plain.port, tls_port=self.tls.port)

    def urls(self, path: str = "/api") -> tuple[str, str]:
        """Return its http URL and its https URL for a path."""
        return f"http://localhost:{self.plain.port}{path}", f"https://localhost:{self.tls.port}{path}"
