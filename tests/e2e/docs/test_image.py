"""The image, and the recipe for docker compose that uses it. Where there is no container engine, by the steps of both."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from ruamel.yaml import YAML

import latehook
from support import http_clients
from support.image import DOCKERFILE, Image
from support.limits import LIMIT
from support.paths import ROOT
from support.ports import free_port
from support.process import Proxy
from support.programs import curl
from support.receivers import Receiver, receiver
from support.waiting import wait_until

COMPOSE = re.findall(r"^```yml\n(.*?)^```", (ROOT / "addon" / "RECIPES.md").read_text(), re.MULTILINE | re.DOTALL)[0]
SERVICES = YAML(typ="safe").load(COMPOSE)["services"]
URL = "https://api.thirdparty.example/api/endpoint"
REQUESTS = f"import requests; print(requests.post('{URL}').json()['identifier'])"
OPENSSL = f"import json; from urllib.request import urlopen; print(json.load(urlopen('{URL}', b''))['identifier'])"
NODE = f"""
import {{ EnvHttpProxyAgent, fetch }} from "undici";
const dispatcher = new EnvHttpProxyAgent();
const response = await fetch("{URL}", {{ method: "POST", dispatcher }});
console.log((await response.json()).identifier);
await dispatcher.close();
"""


class Composed:
    """The services of the compose file; where its names and paths lead to in containers, they lead to here."""

    def __init__(self, image: Image, hooks: Receiver) -> None:
        self.image = image
        self.port = free_port()
        self.hooks = hooks
        text = image.path(COMPOSE).replace("app:8000", f"127.0.0.1:{hooks.port}")
        self.services = YAML(typ="safe").load(text.replace("latehook:8080", f"127.0.0.1:{self.port}"))["services"]

    def start(self) -> Proxy:
        """Start the service `latehook`."""
        service = self.services["latehook"]
        command = [*self.image.entrypoint, *shlex.split(service.get("command", "")), "-p", str(self.port)]
        return Proxy(self.image.run(*command, env=service["environment"]), Path(self.image.path("/ca")))

    def is_healthy(self) -> bool:
        return self.image.is_healthy(self.port)

    def run_app(self, *command: str) -> str:
        """Run a command in the service `app`: it has the service's environment, and no other. Return its output."""
        environment = {"PATH": os.environ["PATH"], **self.services["app"]["environment"]}
        return subprocess.run(
            command, cwd=http_clients.NODE_CLIENT.parent, env=environment, capture_output=True, text=True, timeout=LIMIT
        ).stdout.strip()


CLIENTS = {
    "requests": [sys.executable, "-c", REQUESTS],
    "openssl": [sys.executable, "-c", OPENSSL],
    "node": [http_clients.NODE, "--input-type=module", "-e", NODE],
}


@contextmanager
def composed(folder: Path) -> Iterator[Composed]:
    """The compose file's proxy, healthy. It runs in the image as its steps make it."""
    with receiver() as hooks:
        composed = Composed(Image(folder), hooks)
        assert not composed.is_healthy()
        proxy = composed.start()
        try:
            proxy.wait_for("latehook: ready for api.thirdparty.example")
            wait_until(composed.is_healthy, "the service is healthy")
            yield composed
            assert proxy.stop() == 0
        finally:
            proxy.close()


@pytest.mark.slow
def test_clients_in_the_composed_app_trust_the_proxy_and_get_their_webhooks(tmp_path: Path) -> None:
    """One test, because the image takes seconds to build."""
    with composed(tmp_path) as services, latehook.connect(services.port) as steering:
        for number, (name, client) in enumerate(CLIENTS.items(), start=1):
            if name == "node" and http_clients.NEEDS_NODE.args[0]:
                continue
            identifier = services.run_app(*client)
            steering.advance("5s")
            webhook = services.hooks.wait(number)[-1]
            assert (webhook.path[:6], webhook.query["identifier"]) == ("/hook?", identifier), name

        assert set(SERVICES["app"]["environment"]) <= set(steering.env)
        image, ca = services.image, Path(services.image.path("/ca"))
        assert (image.uid, image.volumes, image.ports) == (10001, ["/ca"], ["8080"])
        if os.geteuid() == 0:
            assert {file.stat().st_uid for file in [ca, *ca.iterdir()]} == {10001}
        assert (ca / "latehook-ca-bundle.pem").stat().st_mode & 0o444 == 0o444  # the app has another user
        assert ca.stat().st_mode & 0o555 == 0o555


def test_the_compose_file_builds_the_image_and_shares_its_volume() -> None:
    assert ROOT / SERVICES["latehook"]["build"]["dockerfile"] == DOCKERFILE
    assert "ca:/ca" in SERVICES["latehook"]["volumes"]
    assert SERVICES["app"]["volumes"] == ["ca:/ca:ro"]


def engine() -> str | None:
    """Return the command of a container engine that works here."""
    for name in ("docker", "podman"):
        if shutil.which(name) and subprocess.run([name, "info"], capture_output=True).returncode == 0:
            return name
    return None


@pytest.mark.slow
def test_an_engine_builds_the_image_and_runs_it(tmp_path: Path, sut: Receiver) -> None:
    name = engine()
    if name is None:
        pytest.skip("no container engine works here")
    tag = f"latehook-test-{os.getpid()}"
    port = free_port()
    subprocess.run([name, "build", "--quiet", "--file", DOCKERFILE, "--tag", tag, ROOT], check=True)
    try:
        size = json.loads(subprocess.check_output([name, "image", "inspect", tag]))[0]["Size"]
        run = [
            name,
            "run",
            "--detach",
            "--rm",
            "--publish",
            f"127.0.0.1:{port}:8080",
            "--env",
            f"CALLBACK_URL={sut.url}",
        ]
        container = subprocess.check_output([*run, tag], text=True).strip()
        try:
            status = ["inspect", "--format", "{{.State.Health.Status}}", container]
            wait_until(lambda: subprocess.check_output([name, *status]) == b"healthy\n", "the container is healthy")
            (tmp_path / "ca.pem").write_text(curl(f"http://127.0.0.1:{port}/_latehook/ca.pem").stdout)
            posted = curl("-x", f"http://127.0.0.1:{port}", "--cacert", str(tmp_path / "ca.pem"), "-d", "", URL)
            user = subprocess.check_output([name, "exec", container, "id", "-u"], text=True)
        finally:
            subprocess.run([name, "stop", container], check=True)
    finally:
        subprocess.run([name, "image", "rm", "--force", tag], check=True)

    assert json.loads(posted.stdout)["success"]
    assert user == "10001\n"
    assert size < 300_000_000


def test_the_compose_file_is_one_for_docker(tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text(COMPOSE)
    if (
        shutil.which("docker") is None
        or subprocess.run(["docker", "compose", "version"], capture_output=True).returncode
    ):
        pytest.skip("docker compose is not here")

    command = ["docker", "compose", "-f", str(tmp_path / "compose.yaml"), "config", "--quiet"]
    checked = subprocess.run(command, capture_output=True, text=True)

    assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")
