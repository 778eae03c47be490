"""The words in which `latehook check` describes what a mock does."""

from latehook.mocksfile.describing import describe
from latehook.mocksfile.loading import load_text


def described(text: str) -> list[str]:
    [mock] = load_text(text, None, {}, {}).all
    return describe(mock)


def test_several_responses_with_their_conditions() -> None:
    lines = described("""
mocks:
  - match: POST a.example/
    job: {}
    response:
      - {when: not request.json.url, status: 400, rejects: true}
      - {when: request.json.slow, status: 202, delay: "{{ request.json.slow }}"}
      - {status: 201}
""")

    assert lines[1:] == [
        "  if {{ not request.json.url }}: answers 400, and takes the job back",
        "  if {{ request.json.slow }}: answers 202, after {{ request.json.slow }}",
        "  otherwise: answers 201",
        "  starts a job without stages",
    ]


def test_how_many_webhooks_a_stage_sends_and_when() -> None:
    lines = described("""
mocks:
  - match: POST a.example/
    webhook: {to: "http://a.test/"}
    stages:
      - {webhook: true, each: request.json.all}
      - {after: "{{ request.json.at }}", webhook: true, each: [a], repeat: {every: {uniform: [1s, 2s]}, times: 3}}
      - {webhook: true, repeat: {every: "{{ request.json.every }}"}}
      - {after: 9s, status: done}
""")

    assert [line.strip() for line in lines if "stage" in line or "sends" in line or "done" in line] == [
        "after 0 s: sends POST http://a.test/, for each item of {{ request.json.all }}",
        "after {{ request.json.at }}: sends POST http://a.test/, for each item of ['a'], every 1 to 2 s, 3 times",
        "after 0 s: sends POST http://a.test/, every {{ request.json.every }}, until the next stage",
        "after 9 s: the status is done",
    ]
