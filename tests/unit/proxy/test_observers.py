"""What counts as acting on flows: mitmproxy's options, and the addons of programs and scripts."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from mitmproxy.addons.asgiapp import WSGIApp
from mitmproxy.addons.view import View
from mitmproxy.options import Options
from mitmproxy.tools.dump import DumpMaster

from latehook.addon import Door
from latehook.proxy.observers import NEUTRAL, Observers

ACTING: dict[str, Any] = {
    "anticache": True,
    "anticomp": True,
    "block_list": [":~u x:403"],
    "body_size_limit": "1m",
    "client_certs": "/",
    "client_replay": ["flows"],
    "hardump": "file.har",
    "map_local": ["|x|/tmp"],
    "map_remote": ["|x|http://y"],
    "modify_body": ["/x/y"],
    "modify_headers": ["/x/y"],
    "proxyauth": "user:secret",
    "save_stream_file": "flows",
    "server_replay": ["flows"],
    "server_replay_extra": "kill",
    "server_replay_kill_extra": True,
    "stickyauth": ".",
    "stickycookie": ".",
    "store_streamed_bodies": True,
    "stream_large_bodies": "1m",
}
"""Every option of mitmdump that is not neutral, with a value that is not its default."""


def observe(change: Callable[[DumpMaster], None] = lambda _: None) -> Observers:
    """Return what is observed of a mitmdump after a change. The values of options are not applied."""
    observers = Observers()

    async def run() -> None:
        master = DumpMaster(Options())
        master.addons.trigger = lambda _: None  # type: ignore[method-assign]
        change(master)
        observers.update(master)

    asyncio.run(run())
    return observers


def script(**members: Any) -> ModuleType:
    module = ModuleType("script")
    vars(module).update(members)
    return module


def test_a_mitmdump_of_its_own_needs_no_bodies() -> None:
    assert not observe().needs_bodies


def test_each_option_of_mitmdump_is_neutral_or_acting() -> None:
    names: set[str] = set()
    observe(lambda master: names.update(master.options.keys()))

    assert names - NEUTRAL == ACTING.keys()


@pytest.mark.parametrize("name", ACTING)
def test_an_acting_option_needs_bodies(name: str) -> None:
    observers = observe(lambda master: master.options.update(**{name: ACTING[name]}))

    assert observers.needs_bodies
    assert observers.names == (() if name in ("proxyauth", "client_replay") else (name,))


def test_an_option_that_nobody_knows_needs_bodies() -> None:
    observers = observe(
        lambda master: master.options.add_option("brand_new", str, "", "") or master.options.update(brand_new="x")
    )

    assert observers.names == ("brand_new",)


@pytest.mark.parametrize("name, value", [("showhost", True), ("flow_detail", 2), ("mode", ["socks5"])])
def test_a_neutral_option_does_not(name: str, value: Any) -> None:
    assert not observe(lambda master: master.options.update(**{name: value})).needs_bodies


def test_bodies_that_are_printed_are_needed() -> None:
    assert observe(lambda master: master.options.update(flow_detail=3)).needs_bodies


@pytest.mark.parametrize(
    "addon",
    [
        WSGIApp(None, "app.example", 80),
        View(),
        script(request=lambda flow: None, name="hook"),
        script(update=lambda flows: None, name="update"),
        script(addons=[script(tcp_message=lambda flow: None, name="inner")], name="outer"),
    ],
    ids=["web application", "list", "script", "update", "nested"],
)
def test_an_addon_of_a_program_needs_bodies(addon: Any) -> None:
    assert observe(lambda master: master.addons.add(addon)).needs_bodies


def test_an_addon_without_hooks_for_flows_does_not() -> None:
    addon = script(running=lambda: None, load=lambda loader: None, name="quiet")

    assert not observe(lambda master: master.addons.add(addon)).needs_bodies


def test_mock_py_does_not_but_a_second_script_does() -> None:
    def load(master: DumpMaster) -> None:
        master.addons.chain.append(script(addons=[Door(__file__)], name="mock.py"))

    assert not observe(load).needs_bodies
    scripts = observe(lambda master: master.options.update(scripts=["mock.py", "mine.py"]))
    assert scripts.needs_bodies
    assert scripts.names == ("the script mine.py",)


def test_a_list_of_flows_is_a_recorder(tmp_path: Path) -> None:
    assert observe(lambda master: master.addons.add(View())).records
