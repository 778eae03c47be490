"""A mocks file: what it may say, and what is said of one that is wrong, to the word."""

from pathlib import Path

import pytest

from latehook.durations import Delay, seconds
from latehook.messages import WebhookPlan
from latehook.mocksfile import load
from latehook.model import MocksError
from latehook.service import Mock, Mocks

MOCK = """\
mocks:
  - match: POST api.slow.example/jobs
    response: {json: {id: "{{ job.id }}"}}
    webhook:
      to: "{{ request.json.callback_url }}"
      json: {id: "{{ job.id }}"}
"""


def webhook_of(mock: Mock) -> WebhookPlan:
    [webhook] = [stage.webhook for stage in mock.stages if stage.webhook is not None]
    return webhook


@pytest.fixture
def read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)

    def read(text: str, **env: str) -> Mocks:
        Path("mocks.yaml").write_text(text)
        return load([Path("mocks.yaml")], env)

    return read


def test_the_default_file_is_valid_and_asks_for_nothing_but_a_callback_url() -> None:
    default = Path(__file__).parent.parent / "addon" / "mocks.yaml"

    [mock] = load([default], {"CALLBACK_URL": "http://app.test/hook"}).all
    [stage] = mock.stages

    assert mock.matcher.text == "POST api.thirdparty.example/api/endpoint"
    assert stage.after == Delay("fixed", 5.0)
    assert (webhook_of(mock).to, webhook_of(mock).method) == ("http://app.test/hook", "GET")


def test_env_may_stand_in_a_match_and_in_a_duration(read) -> None:
    text = MOCK.replace("api.slow.example/jobs", "{{ env.THERE }}").replace(
        "to:", "after: '{{ env.DELAY }}'\n      to:"
    )

    [mock] = read(text, THERE="http://localhost:9000/x", DELAY="1m30s").all

    assert (mock.matcher.host, mock.matcher.port, mock.matcher.scheme) == ("localhost", 9000, "http")
    assert mock.stages[0].after == Delay("fixed", 90.0)


def test_what_is_not_given_has_its_default(read) -> None:
    [mock] = read(MOCK).all

    assert mock.response is not None
    assert mock.response.status == 200
    assert [(stage.after, stage.status) for stage in mock.stages] == [(Delay("fixed", 0.0), "completed")]
    assert (webhook_of(mock).method, webhook_of(mock).timeout) == ("POST", 15.0)
    assert webhook_of(mock).retry.waits == (1.0, 5.0, 15.0)
    assert webhook_of(mock).ordered
    assert webhook_of(mock).verify is True


def test_several_files_are_one_list_in_order(read, tmp_path: Path) -> None:
    (tmp_path / "more.yaml").write_text("mocks: [{match: GET a.example/}]")
    (tmp_path / "last.yaml").write_text("mocks: [{match: GET b.example/}]")

    mocks = load([Path("more.yaml"), Path("last.yaml")], {})

    assert [mock.matcher.host for mock in mocks.all] == ["a.example", "b.example"]


def test_anchors_merges_and_free_keys_are_yaml_as_usual(read) -> None:
    [mock] = read("""
x-base: &base {method: PUT, timeout: 3s, headers: {a: b}}
mocks:
  - match: POST api.slow.example/jobs
    webhook: {<<: *base, timeout: 5s, to: "http://app.test/"}
""").all

    webhook = webhook_of(mock)
    assert (webhook.method, webhook.timeout, webhook.headers) == ("PUT", 5.0, {"a": "b"})


def test_plain_values_are_yaml_1_2_and_dates_stay_text(read) -> None:
    values = "{day: 2024-01-31, no: no, on: on, yes: true, n: 012, x: 0x10, f: 1.5, none: null, tilde: ~}"

    [mock] = read(f"mocks: [{{match: GET api.slow.example/, response: {{json: {values}}}}}]").all

    assert mock.response is not None
    assert mock.response.body is not None
    assert mock.response.body.value == {
        **{"day": "2024-01-31", "no": "no", "on": "on", "yes": True},
        **{"n": 12, "x": 16, "f": 1.5, "none": None, "tilde": None},
    }


@pytest.mark.parametrize(
    ("duration", "value"),
    [
        *[("250ms", 0.25), ("65s", 65.0), ("1m30s", 90.0), ("2h", 7200.0), ("5d", 432000.0), ("1.5s", 1.5)],
        *[("0s", 0.0), (7, 7.0), (0.5, 0.5), ("7", 7.0), ("1d 2h", 93600.0)],
    ],
)
def test_durations(duration: str | float, value: float) -> None:
    assert seconds(duration) == value


@pytest.mark.parametrize("duration", ["", "5 parsecs", "-5s", "5s5m", -1, float("inf"), float("nan"), "s", True])
def test_what_is_no_duration_says_what_is(duration: str | float) -> None:
    with pytest.raises(ValueError, match="is not a duration: write 250ms, 65s, 1m30s, 2h, 5d or a number of seconds"):
        seconds(duration)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        pytest.param("mocks: [", "mocks.yaml:1: this is not YAML", id="not YAML"),
        pytest.param("- a", "mocks.yaml:1: a mocks file is a map with the key `mocks`", id="a list"),
        pytest.param("", "mocks.yaml:1: a mocks file is a map with the key `mocks`", id="empty"),
        pytest.param("x-a: 1", "mocks.yaml:1: the key 'mocks' is missing", id="no mocks"),
        pytest.param(
            "mock: []", "mocks.yaml:1: mock: the key 'mock' is not known; did you mean 'mocks'?", id="misspelt"
        ),
        pytest.param("mocks: 3", "mocks.yaml:1: mocks: 3 does not fit here: expected a list, got a number", id="type"),
        pytest.param(
            "mocks:\n  - response: {}", "mocks.yaml:2: mocks[0]: the key 'match' is missing", id="a key is missing"
        ),
        pytest.param(
            MOCK.replace("response:", "respnse:"),
            "mocks.yaml:3: mocks[0].respnse: the key 'respnse' is not known; did you mean 'response'?",
            id="a key of a mock",
        ),
        pytest.param(
            MOCK.replace("      json:", "      jsn:"),
            "mocks.yaml:6: mocks[0].webhook.jsn: the key 'jsn' is not known; did you mean 'json'?",
            id="a key of a webhook",
        ),
        pytest.param(
            MOCK.replace("{json:", "{colour: 1, json:"),
            "mocks.yaml:3: mocks[0].response.colour: the key 'colour' is not known; the keys here are",
            id="a key with no neighbour",
        ),
        pytest.param(
            MOCK.replace("{json: {", "{status: ok, json: {"),
            "mocks.yaml:3: mocks[0].response.status: 'ok' is not a status: write a number from 200 to 599",
            id="a status",
        ),
        pytest.param(
            MOCK.replace("      to:", "      after: 5 parsecs\n      to:"),
            "mocks.yaml:5: mocks[0].webhook.after: '5 parsecs' is not a duration: write 250ms, 65s,",
            id="a duration",
        ),
        pytest.param(
            MOCK.replace("      to:", "      retry: [1s, soon]\n      to:"),
            "mocks.yaml:5: mocks[0].webhook.retry[1]: 'soon' is not a duration",
            id="a wait",
        ),
        pytest.param(
            MOCK.replace("      to:", "      timeout: 0s\n      to:"),
            "mocks.yaml:5: mocks[0].webhook.timeout: a timeout of 0 fails every attempt",
            id="no time at all",
        ),
        pytest.param(
            MOCK.replace('"{{ request.json.callback_url }}"', "app:8000/hook"),
            "mocks.yaml:5: mocks[0].webhook.to: 'app:8000/hook' is not a URL: write http://host[:port]/path",
            id="a URL",
        ),
        pytest.param(
            MOCK.replace('"{{ request.json.callback_url }}"', "{{ request.json.callback_url }}"),
            "mocks.yaml:5: mocks[0].webhook.to: a key cannot be a map: put quotes around a value with {{ }}",
            id="unquoted braces",
        ),
        pytest.param(
            MOCK.replace("request.json", "requst.json"),
            "mocks.yaml:5: mocks[0].webhook.to: there is no 'requst' here; did you mean 'request'?",
            id="a name",
        ),
        pytest.param(
            MOCK.replace('{json: {id: "{{ job.id }}"}}', '{json: {id: "{{ job.nr }}"}}'),
            "mocks.yaml:3: mocks[0].response.json.id: job has no 'nr'",
            id="a member",
        ),
        pytest.param(
            MOCK[: MOCK.index("    webhook")],
            "mocks.yaml:3: mocks[0].response.json.id: there is no 'job' here",
            id="a job where there is none",
        ),
        pytest.param(
            MOCK.replace("POST api.slow.example/jobs", "POST api.slow.example"),
            "mocks.yaml:2: mocks[0].match: 'POST api.slow.example' has no path",
            id="a match",
        ),
        pytest.param(
            MOCK.replace("      json:", "      form: {a: b}\n      json:"),
            "mocks.yaml:6: mocks[0].webhook.form: a body is one of json, form, text, file, multipart: json stands here too",
            id="two bodies",
        ),
        pytest.param(
            MOCK.replace("      json:", "      to: http://a.test/\n      json:"),
            "mocks.yaml:6: mocks[0].webhook.to: the key 'to' stands twice in this map",
            id="a key twice",
        ),
        pytest.param(
            MOCK.replace('{json: {id: "{{ job.id }}"}}', "forward"),
            "mocks.yaml:4: mocks[0].webhook: `response: forward` stands alone",
            id="forward with a webhook",
        ),
        pytest.param(
            MOCK.replace("      json:", "      headers: {a b: c}\n      json:"),
            "mocks.yaml:6: mocks[0].webhook.headers.a b: 'a b' is not a header's name",
            id="a header",
        ),
        pytest.param(
            MOCK.replace("      json:", "      method: GET!\n      json:"),
            "mocks.yaml:6: mocks[0].webhook.method: 'GET!' is not a method",
            id="a method",
        ),
        pytest.param("mocks: &a [*a]", "mocks.yaml:1: this alias contains itself", id="a circle"),
        pytest.param("mocks: !tag []", "mocks.yaml:1: mocks: the tag '!tag' does not fit here", id="a tag"),
    ],
)
def test_a_file_that_is_wrong_is_told_in_one_line_with_its_place(read, wrong: str, says: str) -> None:
    with pytest.raises(MocksError) as raised:
        read(wrong)

    assert says in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_file_that_is_not_there_says_so(tmp_path: Path) -> None:
    with pytest.raises(MocksError, match=r"nowhere\.yaml:1: cannot be read: No such file or directory"):
        load([tmp_path / "nowhere.yaml"], {})
