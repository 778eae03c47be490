"""What may read `job.webhooks`, the events that are named, `after: {ended}`; and what `latehook check` says of them."""

import pytest

from latehook.base.errors import MocksError
from latehook.mocks.definitions import Mock
from latehook.mocksfile.describing import describe
from latehook.mocksfile.loading import load_text

STAGES = """
mocks:
  - match: POST api.slow.example/jobs
    {more}
    stages:
      - {{after: 1s, status: calling, webhook: {{event: first, to: "http://app.test/"}}}}
      - {stage}
"""


def mock_of(stage: str, more: str = "response: {}") -> Mock:
    return load_text(STAGES.format(stage=stage, more=more), "mocks.yaml", {}, {}).all[0]


@pytest.mark.parametrize(
    ("stage", "more", "problem"),
    [
        ("{status: done}", "job: {vars: {x: '{{ job.webhooks.first.status }}'}}", "job has no 'webhooks': it is there"),
        ("{after: '{{ job.webhooks.first.status }}'}", "job: {}", "job has no 'webhooks': it is there"),
        (
            "{webhook: {to: 'http://app.test/', event: '{{ job.webhooks.first.text }}'}}",
            "job: {}",
            "job has no 'webhooks': it is there",
        ),
        (
            "{status: done}",
            "response: {json: '{{ job.webhooks.fist.text }}'}",
            "has the event 'fist'; did you mean 'first'?",
        ),
        ("{status: '{{ job.webhooks.first.body }}'}", "job: {}", "job.webhooks.first has no 'body'"),
        ("{after: {ended: other}}", "job: {}", "no webhook before this stage has the event 'other'"),
        ("{after: {ended: own}, webhook: {event: own, to: 'http://app.test/'}}", "job: {}", "the event 'own'"),
        ("{after: {plus: 1s}}", "job: {}", "write `ended` too"),
        ("{after: {ended: first, uniform: [1s, 2s]}}", "job: {}", "{ended: EVENT, plus: {…}}"),
        ("{after: {ended: first, plus: soon}}", "job: {}", "'soon' is not a duration"),
        (
            "{status: '{{ job.webhooks.first.text }}', webhook: {to: 'http://app.test/'}}",
            "job: {}",
            "its event would be the status, which is decided when the stage is due: write an `event`",
        ),
        (
            "{repeat: {every: 1s}, webhook: {event: r, to: 'http://app.test/'}}\n      - {after: {ended: r}}",
            "job: {}",
            "how long it is until the next stage: write `times`",
        ),
    ],
)
def test_what_cannot_be_is_an_error_with_its_place(stage: str, more: str, problem: str) -> None:
    with pytest.raises(MocksError) as raised:
        mock_of(stage, more)

    assert problem in str(raised.value)
    assert str(raised.value).startswith("mocks.yaml:")


@pytest.mark.parametrize("read", ["job.webhooks.any.text", "job['webhooks'].any", "job.webhooks | length"])
def test_only_what_reads_answers_is_late(read: str) -> None:
    stage = (
        f"{{status: \"{{{{ {read} }}}}\", webhook: {{event: b, to: 'http://app.test/', when: 'request.json.x'}}}}"
        f'\n      - {{webhook: {{event: any, to: "{{{{ {read} }}}}", when: "{read}"}}}}'
    )
    first, second, third = mock_of(stage).stages

    assert [each.is_status_late for each in (first, second, third)] == [False, True, False]
    assert [each.webhook and each.webhook.late for each in (first, second, third)] == [set(), set(), {"to", "when"}]


def test_check_says_what_is_decided_when() -> None:
    stage = (
        "{after: {ended: first, plus: 2s}, status: '{{ job.webhooks.first.state }}', "
        "webhook: {event: second, to: 'http://app.test/', when: job.webhooks.first.text}}"
    )
    lines = describe(mock_of(stage, "response: {text: '{{ job.webhooks.first.text }}'}"))

    text = "\n".join(lines)
    assert "decided when the webhooks before the response have been answered" in text
    assert "2 s after the end of the webhook 'first': the status is {{ job.webhooks.first.state }}" in text
    assert "    decided when the stage is due: the status, `when`" in lines
    assert "  after the end of the webhook 'first': the status is done" in describe(
        mock_of("{after: {ended: first}, status: done}")
    )
    assert not any("decided" in line for line in describe(mock_of("{status: done}")))
