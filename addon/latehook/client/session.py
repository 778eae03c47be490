"""What the clients have besides the methods of `aio.py`: where the proxy is, and the asynchronous client's `vars`."""

from pathlib import Path
from typing import Any, Self

from latehook.client import calls, failures
from latehook.client.calls import Call
from latehook.client.transport import AsyncTransport, Transport

__tracebackhide__ = failures.hides_frames


class Session[AnyTransport: (Transport, AsyncTransport)]:
    """Where the proxy is.

    Mocks files with a relative path are looked for in `folder` first, then in the current folder.
    """

    def __init__(self, transport: AnyTransport, folder: Path | None = None) -> None:
        self._transport: AnyTransport = transport
        self._folder = folder
        self._folders = [Path.cwd()] if folder is None else [folder, Path.cwd()]

    @property
    def proxy(self) -> str:
        """The URL of the proxy, such as `http://127.0.0.1:8080`."""
        return self._transport.address.proxy

    @property
    def ca_bundle(self) -> str:
        """The path of a file with the certificates of the system's CAs and the proxy's: what a client should trust."""
        return str(self._transport.address.ca_bundle)

    @property
    def env(self) -> dict[str, str]:
        """Environment variables that make a process use the proxy and trust its certificates.

        Example:
            subprocess.Popen(command, env=os.environ | latehook.env)
        """
        return self._transport.address.env()

    def in_folder(self, folder: Path) -> Self:
        """Look for mocks files in another folder.

        Args:
            folder: The folder where mocks files with a relative path are looked for, before the current folder.

        Returns:
            A client of the same proxy. This one stays as it is.
        """
        return type(self)(self._transport, folder)


class AsyncSession(Session[AsyncTransport]):
    """The base of the asynchronous client."""

    async def vars(self, **values: Any) -> dict[str, Any]:
        """Set variables, and return all of them. Those that are not named keep their values.

        Args:
            **values: The new values, by name. They must be plain data that JSON can express.

        Raises:
            ControlError: A name is not under `vars` in any mocks file.

        Example:
            await latehook.aio.vars(verdict="failed")
        """
        return await self._run(calls.set_variables(values) if values else calls.get_variables())

    async def _run[Result](self, call: Call[Result]) -> Result:
        return await self._transport.run(call)
