"""XML in mocks files: `request.xml`, the body kind `xml`, and the errors of both."""

import re
from collections.abc import Callable

import pytest

from latehook.base.errors import MocksError
from support.scenario import Scenario

MOCKS = """
mocks:
  - match: POST soap.slow.example/
    when: request.xml.Envelope.Body.Check
    response:
      xml:
        s:Envelope:
          "@xmlns:s": urn:s
          s:Body: "{{ request.xml.Envelope.Body.Check }}"
    webhook:
      to: "{{ request.xml.Envelope.Body.Check.ReplyTo }}"
      headers: {content-type: "application/soap+xml; charset=iso-8859-1"}
      xml: {Items: {Item: "{{ request.xml.Envelope.Body.Check.Item | all }}"}}
  - {match: GET soap.slow.example/, response: {text: "{{ jobs[0].response.xml.Envelope.Body.ReplyTo }}"}}
"""
CHECK = (
    b"<x:Envelope xmlns:x='urn:s'><x:Body><Check><ReplyTo>http://app.test/?a=1&amp;b=2</ReplyTo>"
    b"<Item>caf\xc3\xa9</Item></Check></x:Body></x:Envelope>"
)


def test_a_soap_request_its_response_and_its_webhook(scenario_of: Callable[..., Scenario]) -> None:
    scenario = scenario_of(MOCKS)

    decision = scenario.ask("POST", "https://soap.slow.example/", CHECK, content_type="text/xml")
    attempt = scenario.attempt(decision)

    assert decision.response is not None
    assert decision.response.body.endswith(
        b'<s:Envelope xmlns:s="urn:s"><s:Body><ReplyTo>http://app.test/?a=1&amp;b=2</ReplyTo>'
        b"<Item>caf\xc3\xa9</Item></s:Body></s:Envelope>"
    )
    assert dict(decision.response.headers)["content-type"] == "application/xml"
    assert attempt.url == "http://app.test/?a=1&b=2"
    assert attempt.body == b'<?xml version="1.0" encoding="iso-8859-1"?>\n<Items><Item>caf\xe9</Item></Items>'
    later = scenario.ask("GET", "https://soap.slow.example/").response
    assert later is not None and later.body == b"http://app.test/?a=1&b=2"


def test_another_body_does_not_match(scenario_of: Callable[..., Scenario]) -> None:
    scenario = scenario_of(MOCKS)

    for body in (b"", b"{}", b"<Envelope>", b"<Envelope><Body/></Envelope>"):
        decision = scenario.ask("POST", "https://soap.slow.example/", body)
        assert decision.response is not None and decision.response.status == 501


@pytest.mark.parametrize(
    ("xml", "error"),
    [
        ("{a: 1, b: 2}", ":5: mocks[0].response.xml: XML has one root element, and there are a, b"),
        ("{a: {\n        'b c': 1}}", ":6: mocks[0].response.xml.a.b c: 'b c' is not a name in XML"),
        ("{'s:a': x}", "mocks[0].response.xml.s:a: the prefix 's' is not declared"),
        ("{a: [1, 2]}", "response.xml.a: 'a' cannot be the root element"),
        ('{a: {b: [x, {"@c": "\\0"}]}}', "response.xml.a.b[1].@c: XML cannot hold the character U+0000"),
        ("text", "'text' is not a map: write a map, or one expression that gives a map"),
    ],
)
def test_a_mistake_that_is_known_is_an_error_at_load(
    scenario_of: Callable[..., Scenario], xml: str, error: str
) -> None:
    with pytest.raises(MocksError) as raised:
        scenario_of(f"mocks:\n  - match: GET a.example/\n    response:\n      status: 200\n      xml: {xml}\n")

    assert error in str(raised.value)


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b'{"a": {"b c": 1}}', "a.b c: 'b c' is not a name in XML"),
        (b'{"a": "\\u0000"}', "a: XML cannot hold the character U+0000"),
        (b"{}", "XML has one root element, and there is none"),
        (b"7", "XML has one root element, and there is none"),
    ],
)
def test_a_mistake_of_an_expression_is_an_error_with_its_place(
    scenario_of: Callable[..., Scenario], body: bytes, error: str
) -> None:
    scenario = scenario_of('mocks: [{match: POST a.example/, response: {xml: "{{ request.json }}"}}]')

    response = scenario.ask("POST", "http://a.example/", body).response
    assert response is not None and response.status == 500
    assert "mocks.yaml:1: mocks[0].response.xml: " in response.body.decode()
    assert error in response.body.decode()


def test_a_document_type_is_an_error_that_names_the_place(scenario_of: Callable[..., Scenario]) -> None:
    scenario = scenario_of('mocks: [{match: POST a.example/, response: {text: "{{ request.xml.a }}"}}]')

    response = scenario.ask("POST", "http://a.example/", b"<!DOCTYPE a><a/>").response
    assert response is not None and response.status == 500
    assert re.search("mocks.yaml:1: .*the XML has a document type", response.body.decode())


def test_members_that_need_the_body_are_kept(scenario_of: Callable[..., Scenario]) -> None:
    assert scenario_of(MOCKS).mocks.all[0].kept_members >= {"xml"}
