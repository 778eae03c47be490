"""The OpenAPI document of the control API, and the responses of the API checked against it."""

from typing import Any

import schemathesis
from hypothesis import Phase, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_schema_conformance,
    status_code_conformance,
)

from latehook.control import openapi
from latehook.control.routes import OPERATIONS
from support.control_api import ControlApi
from support.limits import LIMIT


def test_the_openapi_document_has_every_path_and_no_other(control: ControlApi) -> None:
    document = control.get("openapi.json")

    paths = {(method.upper(), path) for path, methods in document["paths"].items() for method in methods}
    assert paths == {(operation.method, f"/_latehook/{operation.path}") for operation in OPERATIONS}
    assert document["openapi"].startswith("3.1")


CONFIG = schemathesis.Config.from_dict({"seed": 1, "generation": {"deterministic": True}})
SCHEMA = schemathesis.openapi.from_dict(openapi.document("0"), config=CONFIG)
CHECKS = (
    *(not_a_server_error, status_code_conformance, content_type_conformance),
    *(response_schema_conformance, negative_data_rejection),
)


@SCHEMA.parametrize()
@settings(max_examples=15, derandomize=True, deadline=None, database=None, phases=[Phase.explicit, Phase.generate])
def test_every_response_conforms_to_the_openapi_document(case: Any, shared_control: ControlApi) -> None:
    if case.path.endswith(("/wait", "/status")):
        case.query = {**(case.query or {}), "timeout": "10ms"}
    case.call_and_validate(base_url=shared_control.proxy.url, checks=CHECKS, timeout=LIMIT)
