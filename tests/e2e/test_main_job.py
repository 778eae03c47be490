"""The main job through a real proxy: the default mock, as the article's service did it."""

import json
import uuid
from collections.abc import Callable

import pytest

from support.process import HOST, Proxy
from support.programs import curl
from support.receivers import Receiver


@pytest.fixture
def proxy(start: Callable[..., Proxy], sut: Receiver) -> Proxy:
    return start(env={"CALLBACK_URL": f"{sut.url}/hook", "DELAY": "300ms"})


def test_a_post_is_answered_and_its_webhook_arrives(proxy: Proxy, sut: Receiver) -> None:
    url = f"https://{HOST}/api/endpoint?some_parameter=some_value"
    answer = json.loads(curl("-x", proxy.url, "--cacert", proxy.ca, "-d", "anything", url).stdout)

    [webhook] = sut.wait(1)

    assert answer == {"identifier": answer["identifier"], "success": True}
    assert uuid.UUID(answer["identifier"]).version == 4
    assert (webhook.method, webhook.path.partition("?")[0]) == ("GET", "/hook")
    assert list(webhook.query.items()) == [
        ("success", "true"),
        ("identifier", answer["identifier"]),
        ("some_parameter", "some_value"),
    ]
    proxy.wait_for(rf"job {answer['identifier']}: webhook delivered, attempt 1: {sut.url}/hook\?.*: 200")


def test_a_parameter_that_is_missing_is_empty_in_the_webhook(proxy: Proxy, sut: Receiver) -> None:
    curl("-x", proxy.url, "-d", "anything", f"http://{HOST}/api/endpoint")

    [webhook] = sut.wait(1)

    assert webhook.query["some_parameter"] == ""
