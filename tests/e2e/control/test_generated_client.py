"""A Python client that openapi-python-client generates from the OpenAPI document, used against a real proxy."""

import importlib
import json
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, cast

import httpx
import pytest

from support.control_api import ControlApi
from support.limits import LIMIT

PACKAGE = "generated_latehook_client"
CONFIG = f"""
package_name_override: {PACKAGE}
post_hooks: []
content_type_overrides:
  application/x-pem-file: text/plain
  application/yaml: application/octet-stream
  text/yaml: application/octet-stream
  application/x-yaml: application/octet-stream
"""
"""The generator knows no media types of certificates and YAML. `post_hooks` would format the code."""


class GeneratedClient:
    """The generated package, and a client of its for one proxy."""

    def __init__(self, proxy: str) -> None:
        self.models = self._module("models")
        package = cast(Any, importlib.import_module(PACKAGE))
        self._client = package.Client(base_url=proxy, timeout=httpx.Timeout(LIMIT), raise_on_unexpected_status=True)

    def call(self, operation: str, **arguments: Any) -> Any:
        """Return what the generated function of `operation`, such as "webhooks.list_webhooks", returns."""
        return self._module(f"api.{operation}").sync(client=self._client, **arguments)

    def _module(self, name: str) -> ModuleType:
        return importlib.import_module(f"{PACKAGE}.{name}")


@pytest.fixture(scope="module")
def client(shared_control: ControlApi, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GeneratedClient]:
    folder = tmp_path_factory.mktemp("generated")
    (folder / "openapi.json").write_text(json.dumps(shared_control.get("openapi.json")))
    (folder / "config.yaml").write_text(CONFIG)
    generator = Path(sys.executable).with_name("openapi-python-client")
    options = ["--path", "openapi.json", "--config", "config.yaml", "--output-path", PACKAGE, "--meta", "none"]
    command = [generator, "generate", "--fail-on-warning", *options]
    generated = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=LIMIT)
    assert generated.returncode == 0, generated.stdout + generated.stderr
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        yield GeneratedClient(shared_control.proxy.url)


def test_a_generated_client_lists_advances_and_waits(client: GeneratedClient, control: ControlApi) -> None:
    order = f"order-{uuid.uuid4()}"
    control.order(order)

    pending = client.call("webhooks.list_webhooks", job=order)
    advanced = client.call("status.advance_clock", body=client.models.ClockChange(advance="1h"))
    delivered = client.call("webhooks.wait_for_webhooks", job=order, state="delivered", timeout="10s")

    assert [(webhook.event, webhook.state.value) for webhook in pending.items] == [("order.done", "pending")]
    assert advanced.left == []
    assert [webhook.job for webhook in delivered.items] == [order]
    assert [request.path for request in control.sut.wait(1)] == [f"/{order}"]


def test_a_generated_client_reads_problems(client: GeneratedClient) -> None:
    problem = client.call("webhooks.list_webhooks", where="job.id ==")

    assert isinstance(problem, client.models.Problem)
    assert problem.status == 400
    assert "where" in problem.detail
