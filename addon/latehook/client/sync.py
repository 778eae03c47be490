# Made from aio.py by scripts/unasync. Edit that file, then run the script.
"""The synchronous client: for tests and scripts that wait for each result."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Unpack

from latehook.api.defaults import WAIT_STATE, WAIT_TIMEOUT
from latehook.api.models import Job, OtherRequest, Request, Webhook
from latehook.client import calls, failures, process
from latehook.client.address import ProxyAddress
from latehook.client.filters import Filters, RequestFilters, WebhookFilters
from latehook.client.mocks import Mocks, read_mocks
from latehook.client.sync_session import SyncSession
from latehook.client.transport import Transport

__tracebackhide__ = failures.hides_frames


@contextmanager
def connect(port: int, host: str = "127.0.0.1", token: str | None = None) -> Iterator["Latehook"]:
    """Connect to a proxy that runs already. Use it with `with`: the block gets the client.

    Args:
        port: The port on which the proxy listens.
        host: The host name or address of the proxy's machine.
        token: The proxy's option `mock_token`: needed from another machine.

    Raises:
        ControlError: Nothing answers there, or it is not Latehook, or the token is wrong.

    Example:
        with latehook.connect(8080) as client:
            client.advance("65s")
    """
    with TemporaryDirectory(prefix="latehook-") as folder:
        address = ProxyAddress(host, port, Path(folder) / "ca-bundle.pem", token)
        with Transport(address) as transport:
            address.ca_bundle.write_bytes(transport.run(calls.ca_bundle()))
            yield Latehook(transport)


@contextmanager
def start(mocks: Mocks | None = None, **options: str | Sequence[str]) -> Iterator["Latehook"]:
    """Start a proxy on a free port of this machine. Use it with `with`: the proxy ends with the block.

    Args:
        mocks: The path of a mocks file, YAML text, or a dict. A reset keeps these mocks.
        **options: Options of Latehook and mitmproxy by name, as `--set` takes them. A list sets one several times.

    Raises:
        LatehookError: The proxy does not start. The message has its log.

    Example:
        with latehook.start("mocks.yaml", mock_speed="60") as client:
            print(client.proxy)
    """
    with process.run_proxy(mocks, options) as started, connect(started.port) as latehook:
        yield latehook


class Latehook(SyncSession):
    """The client of a proxy: where it is, and every operation on it.

    Every method raises ControlError if the proxy does not answer, or refuses the operation: the message says why.

    Methods with `**filters` concern those that match all filters: `job` (an id), `mock` (a name), `event`, `state` (one
    or a list) and `where`, an expression such as `request.json.order == 'o-17'`. Without filters they concern all.
    """

    def load(self, mocks: Mocks) -> None:
        """Add mocks. Requests are tried against them before all others, until the next reset.

        Args:
            mocks: The path of a mocks file, YAML text, or a dict. Files that the mocks name are read here and sent
                along: beside the mocks file, or where mocks files are looked for.

        Raises:
            LatehookError: There is no such file, a file that the mocks name is missing, or the mocks have an error: the
                message has file and line.

        Example:
            latehook.load({"mocks": [{"match": "GET api.slow.example/health", "response": {"status": 503}}]})
        """
        self._run(calls.load(read_mocks(mocks, self._folders)))

    def advance(self, duration: str | float, job: str | None = None) -> None:
        """Move Latehook's clock forward: everything that becomes due on the way happens now, in order, retries too.

        Returns when all of it has happened.

        Args:
            duration: How far: text such as `65s` or `1h30m`, or a number of seconds.
            job: The id of a job: move only its clock. None: the clock of all jobs.

        Raises:
            AdvanceTimeout: Something has not happened within 10 s of real time. The message lists it.

        Example:
            latehook.advance("65s")
        """
        self._run(calls.advance(duration, job))

    def wait_for(
        self,
        *,
        state: str | Sequence[str] = WAIT_STATE,
        count: int = 1,
        timeout: str | float = WAIT_TIMEOUT,
        **filters: Unpack[WebhookFilters],
    ) -> list[Webhook]:
        """Wait until `count` webhooks are in a state.

        Args:
            state: The state, or several of which each will do.
            count: How many webhooks: at most 1,000.
            timeout: How long to wait, in real time: text such as `250ms` or `10s`, or a number of seconds; at most 10m.
            **filters: Only webhooks that match these.

        Returns:
            All webhooks in the state that match the filters, oldest first: at least `count`.

        Raises:
            WaitTimeout: There were not enough in time. The message says what did happen.

        Example:
            [webhook] = latehook.wait_for(job=job_id, event="completed")
            assert webhook.attempts[-1].status == 200
        """
        return self._run(calls.wait_for(state, count, timeout, filters))

    def pending(self, **filters: Unpack[WebhookFilters]) -> list[Webhook]:
        """List the webhooks that are still to be delivered: pending, held or delivering.

        Args:
            **filters: Only webhooks that match these.

        Returns:
            The webhooks that match the filters, in the order in which they are due.
        """
        return self._run(calls.pending(filters))

    def webhooks(self, *, limit: int | None = None, **filters: Unpack[Filters]) -> list[Webhook]:
        """List webhooks.

        Args:
            limit: Only so many, the newest. None: all.
            **filters: Only webhooks that match these.

        Returns:
            The webhooks, oldest first.
        """
        return self._run(calls.webhooks(filters, limit))

    def requests(
        self,
        matched: bool | None = None,
        *,
        valid: bool | None = None,
        limit: int | None = None,
        **filters: Unpack[RequestFilters],
    ) -> list[Request]:
        """List requests to mocked hosts. The proxy keeps the last 1,000.

        Args:
            matched: True: only those that a mock matched. False: only those that no mock matched; `why` says why.
            valid: False: only those that do not fit the OpenAPI document of their mock; `problems` says why.
            limit: Only so many, the newest. None: all.
            **filters: Only requests that match these.

        Returns:
            The requests, oldest first.
        """
        return self._run(calls.requests(matched, filters, limit, valid))

    def others(self, *, limit: int | None = None) -> list[OtherRequest]:
        """List the requests and connections that left for hosts that no mock names. The proxy keeps the last 1,000.

        Args:
            limit: Only so many, the newest. None: all.

        Returns:
            What left, oldest first.

        Example:
            assert latehook.others() == []
        """
        return self._run(calls.others(limit))

    def jobs(self, *, limit: int | None = None, **filters: Unpack[Filters]) -> list[Job]:
        """List jobs, each with its request, response, stages and webhooks.

        Args:
            limit: Only so many, the newest. None: all.
            **filters: Only jobs that match these. `event` and `state` mean: it has a webhook like that.

        Returns:
            The jobs, oldest first.
        """
        return self._run(calls.jobs(filters, limit))

    def fire(self, webhook: str | Webhook) -> Webhook:
        """Send a webhook now, held or not, and move its job to its stage.

        Args:
            webhook: A webhook that is pending or held, or its id.

        Returns:
            The webhook as it is then. Its attempt may still be in progress: `wait_for` waits for the end.
        """
        return self._run(calls.one("fire", webhook))

    def hold(self, webhook: str | Webhook | None = None, **filters: Unpack[Filters]) -> None:
        """Start no attempt any more, until a release.

        Args:
            webhook: A webhook, or its id: hold only this one.
            **filters: Hold the webhooks that match these. Without webhook and filters: hold all, also of later jobs.
        """
        self._run(calls.several("hold", webhook, filters))

    def release(self, webhook: str | Webhook | None = None, **filters: Unpack[Filters]) -> None:
        """Send held webhooks when they are due, or at once if that time is past.

        Args:
            webhook: A webhook, or its id: release only this one.
            **filters: Release the webhooks that match these. Without webhook and filters: release all.
        """
        self._run(calls.several("release", webhook, filters))

    def cancel(self, webhook: str | Webhook | None = None, **filters: Unpack[Filters]) -> None:
        """Do not send webhooks any more. Attempts in progress are ended.

        Args:
            webhook: A webhook, or its id: cancel only this one.
            **filters: Cancel the webhooks that match these. Without webhook and filters: cancel all.
        """
        self._run(calls.several("cancel", webhook, filters))

    def resend(self, webhook: str | Webhook | None = None, **filters: Unpack[Filters]) -> None:
        """Send webhooks that have ended once more: the same content, the next attempt number.

        Args:
            webhook: A webhook, or its id: send only this one.
            **filters: Send the webhooks that match these. Without webhook and filters: send all that have ended.
        """
        self._run(calls.several("resend", webhook, filters))

    def reset(self, **filters: Unpack[Filters]) -> None:
        """Set everything back to the start: no jobs, requests or added mocks, nothing held; variables and clock too.

        Args:
            **filters: Forget only the jobs that match these, and change nothing else.
        """
        self._run(calls.several("reset", None, filters))

    def check_strictly(self) -> None:
        """Check that nothing is left: no webhook pending or failed, no request that no mock matched or that left.

        A request has left if it went to a host that no mock names. Requests must also fit the OpenAPI document of their
        mock, if that has `validate`.

        Waits some seconds for attempts in progress. The marker's `strict=True` does this at the end of a test.

        Raises:
            StrictCheckFailed: Something is left. The message lists it.
        """
        self._run(calls.strict())
