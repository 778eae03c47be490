"""The world: what operations change for all jobs, and how it comes back after a restart."""

import json
from pathlib import Path
from typing import Any

import pytest

from latehook.base.errors import StoreError
from latehook.base.json_numbers import NumberAsWritten
from support.engine_setup import EngineSetup, run_scenario
from support.virtual_time import NOON

MOCKS = """
vars: {verdict: good, amount: 1, gone: 1}
mocks:
  - match: POST api.slow.example/jobs
    response: {headers: {x-amount: "{{ vars.amount }}"}, json: {verdict: "{{ vars.verdict }}"}}
    webhook: {to: "http://app.test/", after: 1h}
"""

ADDED = """
mocks:
  - match: POST api.slow.example/jobs
    when: request.json.bytes
    response: {status: 202, file: content.bin, headers: {x-gone: "{{ vars.gone | default('gone') }}"}}
"""

BYTES = bytes(range(256))


async def answer(setup: EngineSetup, **document: Any) -> tuple[int, dict[str, str], bytes]:
    decision = await setup.post(**document)
    assert decision.response is not None
    return decision.response.status, dict(decision.response.headers), decision.response.body


def restart(scenario: Any, folder: Path, mocks: str = MOCKS) -> EngineSetup:
    """Run a scenario with the store that the last one has left."""

    async def resumed(setup: EngineSetup) -> None:
        await setup.engine.resume(1.0)
        await scenario(setup)
        await setup.engine.close()

    return run_scenario(resumed, mocks, folder, path=str(folder / "jobs.db"), document={})


def test_the_world_comes_back_after_a_restart_until_a_reset(tmp_path: Path) -> None:
    """Also numbers as they were written, and the bytes of the files that added mocks name."""

    async def before(setup: EngineSetup) -> None:
        operations = setup.operations
        await operations.add_mocks(ADDED, "first.yaml", {"content.bin": b"other"})
        await operations.add_mocks(ADDED, None, {"content.bin": BYTES})
        await operations.set_vars({"verdict": "bad", "gone": "there"})
        await operations.set_vars({"amount": NumberAsWritten("1.00")})
        await operations.hold()
        await operations.set_speed(60)
        await operations.advance("1h")
        assert (await answer(setup, bytes=1))[2] == BYTES

    async def after(setup: EngineSetup) -> None:
        assert (setup.operations.holding, setup.clock.now()) == (True, NOON + 3600)
        assert setup.operations.vars == {"verdict": "bad", "amount": 1}  # the file has `gone` no more
        status, headers, body = await answer(setup, bytes=1)
        assert (status, headers["x-gone"], body) == (202, "gone", BYTES)
        status, headers, body = await answer(setup)
        assert (status, headers["x-amount"], json.loads(body)) == (200, "1.00", {"verdict": "bad"})
        places = [mock.place.file for mock in setup.operations.mocks.all]
        assert places[:2] == ["posted mocks", "first.yaml"]
        await setup.operations.reset()

    async def after_reset(setup: EngineSetup) -> None:
        assert (setup.operations.holding, setup.clock.now(), setup.clock.speed) == (False, NOON, 1)
        assert setup.operations.vars == {"verdict": "good", "amount": 1}
        assert len(setup.operations.mocks.all) == 1

    restart(before, tmp_path)
    without = MOCKS.replace(", gone: 1", "")
    restart(after, tmp_path, without)
    restart(after_reset, tmp_path, without)


def test_a_change_that_cannot_be_written_changes_nothing(tmp_path: Path) -> None:
    async def scenario(setup: EngineSetup) -> None:
        operations = setup.operations
        setup.store.full = True
        world = setup.engine.state.world
        for change in (
            operations.hold(),
            operations.set_speed(60),
            operations.set_vars({"verdict": "bad"}),
            operations.add_mocks(ADDED, None, {"content.bin": BYTES}),
            operations.reset(),
        ):
            with pytest.raises(StoreError):
                await change
        setup.store.full = False
        assert setup.engine.state.world is world
        assert (operations.holding, setup.clock.speed, operations.vars["verdict"]) == (False, 1, "good")
        assert await answer(setup, bytes=1) == await answer(setup)

    restart(scenario, tmp_path)


def test_added_mocks_that_do_not_compile_any_more_end_the_start(tmp_path: Path) -> None:
    """Without them, requests to the hosts that they name would leave."""

    async def before(setup: EngineSetup) -> None:
        await setup.operations.add_mocks(ADDED, "added.yaml", {"content.bin": BYTES})
        [added] = setup.engine.state.world.added
        setup.store.set_value("added mocks", [{"text": added.text.replace("when", "wehn"), "file": added.file}])

    async def after(setup: EngineSetup) -> None:
        raise AssertionError("it has started")

    restart(before, tmp_path)
    with pytest.raises(StoreError) as raised:
        restart(after, tmp_path)
    problem = f"mock_store={tmp_path / 'jobs.db'}: mocks that were added before cannot be used any more"
    assert str(raised.value).startswith(f"{problem}: added.yaml:4: mocks[0]")
    assert str(raised.value).endswith("; start as before, or name another store")
