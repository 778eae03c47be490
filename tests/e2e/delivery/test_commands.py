"""The operations as commands of mitmproxy."""

import re

from support.mitmproxy_commands import Commands
from support.receivers import Receiver
from support.stored_jobs import Start, post


def test_every_operation_is_a_command_of_mitmproxy(start_with_store: Start, sut: Receiver, commands: Commands) -> None:
    proxy = start_with_store("1h", *commands.arguments)

    def command(line: str, pattern: str) -> str:
        """Run a command; return the first printed line that matches the pattern."""
        commands.send(line)
        return proxy.wait_for(pattern)

    post(proxy, id="a")
    listed = command("mock.pending", r"result: \['[-0-9a-f]{36} pending 3\d{3}\.\d s http")
    found = re.search(r"'([-0-9a-f]{36}) ", listed)
    assert found is not None
    command(f"mock.hold {found[1]}", "latehook: hold .*: done")
    command(f"mock.release {found[1]}", "latehook: release .*: done")
    command(f"mock.fire {found[1]}", "latehook: fire .*: done")
    sut.wait(1)
    proxy.wait_for("webhook delivered, attempt 1")
    command(f"mock.resend {found[1]}", "latehook: resend .*: done")
    sut.wait(2)
    proxy.wait_for("webhook delivered, attempt 2")
    command("mock.fire nobody", "latehook: fire nobody: there is no webhook 'nobody'")
    post(proxy, id="b")
    command("mock.hold job=b", "latehook: hold job=b: done")
    command("mock.pending", r"result: \['[-0-9a-f]{36} held ")
    command("mock.release state=held \"where=job.id == 'b'\"", "latehook: release state=held .*: done")
    command("mock.cancel sate=held", "latehook: cancel sate=held: there is no filter 'sate'; did you mean 'state'?")
    command("mock.cancel", "latehook: cancel: done")
    command("mock.advance 2h", "latehook: advance 2h: done")
    command("mock.reset job=b", "latehook: reset job=b: done")
    command("mock.reset", "latehook: reset: done")
    command("mock.pending", r"result: \[\]")

    assert len(sut.requests) == 2


def test_after_a_reset_the_seed_gives_the_same_values_again(start_with_store: Start, commands: Commands) -> None:
    proxy = start_with_store("1h", *commands.arguments, "--set", "mock_seed=7")
    at_the_start = [post(proxy), post(proxy)]
    commands.send("mock.reset")
    proxy.wait_for("latehook: reset: done")

    assert [post(proxy), post(proxy)] == at_the_start
