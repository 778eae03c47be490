"""Loading of mocks files: valid ones, and the exact error message of each invalid one."""

from pathlib import Path

import pytest

from latehook.base.durations import Delay, parse_duration
from latehook.base.errors import MocksError
from latehook.base.messages import ResponseFault
from latehook.mocks.definitions import FaultSpec, Mock, Mocks, WebhookSpec
from latehook.mocksfile.loading import load
from support.paths import ROOT

MOCK = """\
mocks:
  - match: POST api.slow.example/jobs
    response: {json: {id: "{{ job.id }}"}}
    webhook:
      to: "{{ request.json.callback_url }}"
      json: {id: "{{ job.id }}"}
"""


STAGES = "mocks:\n  - {match: GET a.example/, webhook: {to: 'http://a.test/'}, stages: [%s]}"


def webhook_of(mock: Mock) -> WebhookSpec:
    [webhook] = [stage.webhook for stage in mock.stages if stage.webhook is not None]
    return webhook


@pytest.fixture
def read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)

    def read(text: str, **env: str) -> Mocks:
        Path("mocks.yaml").write_text(text)
        return load([Path("mocks.yaml")], env)

    return read


def test_the_default_file_is_valid_and_needs_only_a_callback_url() -> None:
    default = ROOT / "addon" / "mocks.yaml"

    [mock] = load([default], {"CALLBACK_URL": "http://app.test/hook"}).all
    [stage] = mock.stages

    assert mock.matcher.text == "POST api.thirdparty.example/api/endpoint"
    assert stage.after == Delay("fixed", 5.0)
    assert (webhook_of(mock).to, webhook_of(mock).method) == ("http://app.test/hook", "GET")


def test_a_mock_is_the_same_one_in_each_folder_that_has_a_copy_of_its_file(tmp_path: Path) -> None:
    def definition(name: str, text: str = MOCK) -> str:
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
        return load([file], {}).all[0].definition

    assert definition("a/mocks.yaml") == definition("b/mocks.yaml")
    assert len({definition("a/mocks.yaml"), definition("a/others.yaml"), definition("a/mocks.yaml", f"{MOCK} ")}) == 2
    assert definition("a/mocks.yaml") != definition("a/mocks.yaml", MOCK.replace("id:", "job:"))


def test_only_the_members_of_the_body_that_expressions_read_are_read(read) -> None:
    mocks = read(MOCK.replace("request.json.callback_url", "job.request.json.hooks.done or request.query.hook"))

    assert (mocks.body_members, mocks.all[0].kept_members) == ({"json"}, {"json"})


def test_an_expression_with_the_whole_request_reads_all_members(read) -> None:
    assert read(MOCK.replace("request.json.callback_url", "job.request | string")).body_members >= {
        "json",
        "form",
        "sha256",
    }


def test_env_may_stand_in_a_match_and_in_a_duration(read) -> None:
    text = MOCK.replace("api.slow.example/jobs", "{{ env.THERE }}").replace(
        "to:", "after: '{{ env.DELAY }}'\n      to:"
    )

    [mock] = read(text, THERE="http://localhost:9000/x", DELAY="1m30s").all

    assert (mock.matcher.host, mock.matcher.port, mock.matcher.scheme) == ("localhost", 9000, "http")
    assert mock.stages[0].after == Delay("fixed", 90.0)


def test_a_key_that_is_not_written_has_its_default(read) -> None:
    [mock] = read(MOCK).all

    assert mock.response is not None
    assert mock.response.status == 200
    assert [(stage.after, stage.status) for stage in mock.stages] == [(Delay("fixed", 0.0), "completed")]
    assert (webhook_of(mock).method, webhook_of(mock).timeout) == ("POST", 15.0)
    assert webhook_of(mock).retry.waits == (1.0, 5.0, 15.0)
    assert webhook_of(mock).ordered
    assert webhook_of(mock).verify is True


def test_a_fault_may_come_from_the_environment_and_null_removes_it(read) -> None:
    text = (
        MOCK.replace("{json: {", "{fault: '{{ env.FAULT | default(none) }}', json: {")
        .replace("      to:", "      fault: null\n      to:")
        .replace("mocks:", "defaults: {webhook: {fault: drop}}\nmocks:")
    )

    [with_one], [without] = read(text, FAULT="hang").all, read(text).all

    assert with_one.response is not None
    assert with_one.response.fault == FaultSpec(ResponseFault.HANG)
    assert without.response is not None
    assert without.response.fault is None
    assert webhook_of(without).fault is None


def test_several_files_are_one_list_in_order(read, tmp_path: Path) -> None:
    (tmp_path / "more.yaml").write_text("mocks: [{match: GET a.example/}]")
    (tmp_path / "last.yaml").write_text("mocks: [{match: GET b.example/}]")

    mocks = load([Path("more.yaml"), Path("last.yaml")], {})

    assert [mock.matcher.host for mock in mocks.all] == ["a.example", "b.example"]


def test_two_files_may_not_give_one_variable_different_values(read, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("vars: {x: 1, same: [2]}\nmocks: [{match: GET a.example/}]")
    (tmp_path / "b.yaml").write_text("vars:\n  same: [2]\n  x: 3\nmocks: [{match: GET b.example/}]")

    with pytest.raises(
        MocksError, match=r"^b\.yaml:3: vars\.x: another file sets the variable 'x' to 1, this one to 3"
    ):
        load([Path("a.yaml"), Path("b.yaml")], {})


def test_anchors_merges_and_keys_that_begin_with_x_work(read) -> None:
    [mock] = read("""
x-base: &base {method: PUT, timeout: 3s, headers: {a: b}}
mocks:
  - match: POST api.slow.example/jobs
    webhook: {<<: *base, timeout: 5s, to: "http://app.test/"}
""").all

    webhook = webhook_of(mock)
    assert (webhook.method, webhook.timeout, webhook.headers) == ("PUT", 5.0, {"a": "b"})


def test_plain_values_are_yaml_1_2_and_dates_stay_text(read) -> None:
    values = "{day: 2024-01-31, no: no, on: on, yes: true, n: 12, f: 1.5, time: 12:30, none: null, tilde: ~}"

    [mock] = read(f"mocks: [{{match: GET api.slow.example/, response: {{json: {values}}}}}]").all

    assert mock.response is not None
    assert mock.response.body is not None
    assert mock.response.body.value == {
        **{"day": "2024-01-31", "no": "no", "on": "on", "yes": True},
        **{"n": 12, "f": 1.5, "time": "12:30", "none": None, "tilde": None},
    }


@pytest.mark.parametrize(
    ("duration", "value"),
    [
        *[("250ms", 0.25), ("65s", 65.0), ("1m30s", 90.0), ("2h", 7200.0), ("5d", 432000.0), ("1.5s", 1.5)],
        *[("0s", 0.0), (7, 7.0), (0.5, 0.5), ("7", 7.0), ("1d 2h", 93600.0)],
    ],
)
def test_durations(duration: str | float, value: float) -> None:
    assert parse_duration(duration) == value


@pytest.mark.parametrize("duration", ["", "5 parsecs", "-5s", "5s5m", -1, float("inf"), float("nan"), "s", True])
def test_the_error_of_an_invalid_duration_says_what_to_write(duration: str | float) -> None:
    with pytest.raises(ValueError, match="is not a duration: write 250ms, 65s, 1m30s, 2h, 5d or a number of seconds"):
        parse_duration(duration)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        pytest.param(
            "mocks: [",
            "mocks.yaml:1: this is not YAML: a bracket, a brace or a quote is not closed",
            id="an open bracket",
        ),
        pytest.param(
            "mocks:\n  - match: GET a.example/\n response: {}",
            "mocks.yaml:3: this is not YAML: this line does not fit the list or map above it: look at its",
            id="a wrong indentation",
        ),
        pytest.param(
            "mocks:\n  - match: GET a.example/\n    when: {{ request.json.a: 1",
            "mocks.yaml:3: this is not YAML: a bracket, a brace or a quote is not closed",
            id="an open brace",
        ),
        pytest.param(
            "mocks:\n  - name: a: b",
            "mocks.yaml:2: this is not YAML: put quotes around a value that contains `: `",
            id="a colon",
        ),
        pytest.param(
            "mocks: %x", "mocks.yaml:1: this is not YAML: put quotes around a value that", id="a percent sign"
        ),
        pytest.param("mocks:\n\t- a", "mocks.yaml:2: this is not YAML: indent with spaces, not with tabs", id="a tab"),
        pytest.param("mocks: *all", "mocks.yaml:1: this is not YAML: define its anchor (`&NAME`) above", id="an alias"),
        pytest.param(
            "mocks: []\n---\nmocks: []",
            "mocks.yaml:2: this is not YAML: a mocks file is one YAML document: remove the line `---`",
            id="two documents",
        ),
        pytest.param(
            'mocks: "\\q"',
            "mocks.yaml:1: this is not YAML: check the indentation, colons and quotes of this line (the YAML parser",
            id="an escape",
        ),
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
            id="a key that is like no other",
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
            "mocks.yaml:5: mocks[0].webhook.timeout: with a timeout of 0 every attempt fails: write 15s",
            id="a timeout of 0",
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
            "mocks.yaml:3: mocks[0].response.json.id: there is no 'job' here: this mock starts no job (it would with",
            id="a job where there is none",
        ),
        pytest.param(
            MOCK.replace("POST api.slow.example/jobs", "POST api.slow.example"),
            "mocks.yaml:2: mocks[0].match: 'POST api.slow.example' has no path",
            id="a match",
        ),
        pytest.param(
            MOCK.replace("      json:", "      form: {a: b}\n      json:"),
            "mocks.yaml:6: mocks[0].webhook.form: a body is one of json, xml, form, text, file, multipart; there is json too: remove one",
            id="two bodies",
        ),
        pytest.param(
            MOCK.replace("      json:", "      to: http://a.test/\n      json:"),
            "mocks.yaml:6: mocks[0].webhook.to: the key 'to' is in this map twice: remove one of them",
            id="a key twice",
        ),
        pytest.param(
            MOCK.replace('{json: {id: "{{ job.id }}"}}', "forward"),
            "mocks.yaml:4: mocks[0].webhook: `response: forward` sends the request to the real service and starts no job: remove `webhook`",
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
        pytest.param(
            MOCK + "  - {match: POST api.slow.example/jobs, response: {status: 422}}\n",
            "mocks.yaml:7: mocks[1]: 'POST api.slow.example/jobs' can never match, because the mock at mocks.yaml:2 answers all of its requests: move",
            id="covered by an earlier mock",
        ),
        pytest.param(
            "mocks:\n  - {match: ANY *.example/**}\n  - {match: 'GET api.slow.example/jobs/{id}'}",
            "mocks.yaml:3: mocks[1]: 'GET api.slow.example/jobs/{id}' can never match, because the mock at mocks.yaml:2 answers",
            id="covered by a pattern",
        ),
        pytest.param(
            "mocks:\n  - {name: a, match: GET a.example/}\n  - {name: a, match: GET b.example/}",
            "mocks.yaml:3: mocks[1]: the mock at mocks.yaml:2 has the name 'a' too: rename one of them",
            id="a name twice",
        ),
        pytest.param(
            "mocks:\n  - {match: GET a.example/, lookup: request.path.id, job: {}}",
            "mocks.yaml:2: mocks[0].job: a mock with `lookup` answers for a job that exists: remove `job`, or `lookup`",
            id="a lookup with a job",
        ),
        pytest.param(
            MOCK + "    stages: [{status: done}]\n",
            "mocks.yaml:4: mocks[0].webhook: no stage sends this webhook: write `webhook: true` in a stage",
            id="a webhook that no stage sends",
        ),
        pytest.param(
            MOCK.replace("      to:", "      status: ready\n      to:") + "    stages: [{webhook: true}]\n",
            "mocks.yaml:5: mocks[0].webhook.status: a mock with `stages` has `status` in each stage: move it there",
            id="a status beside stages",
        ),
        pytest.param(
            MOCK + "    stages: [{webhook: {status: ready}}]\n",
            "mocks.yaml:7: mocks[0].stages[0].webhook.status: `status` is a key of the stage, not of its webhook: move",
            id="a status in the webhook of a stage",
        ),
        pytest.param(
            MOCK + f"    stages: [{{status: {'x' * 1001}, webhook: true}}]\n",
            "mocks.yaml:7: mocks[0].stages[0].status: it has 1,001 characters, and may have 1,000",
            id="a long status",
        ),
        pytest.param(
            MOCK.replace(
                "POST api.slow.example/jobs", "POST api.slow.example/jobs\n    when: request.text is matching('a(')"
            ),
            "mocks.yaml:3: mocks[0].when: the pattern 'a(' cannot be used: missing )",
            id="a regular expression",
        ),
        pytest.param(
            "mocks:\n  - {match: GET a.example/, stages: [{webhook: true}]}",
            "mocks.yaml:2: mocks[0].stages[0].webhook: `true` sends the mock's own `webhook`, and it has none: write one",
            id="a stage without a webhook to send",
        ),
        pytest.param(
            "mocks:\n  - {match: GET a.example/, stages: [{after: 5s}, {after: before-response}]}",
            "mocks.yaml:2: mocks[0].stages[1].after: the stage before this one comes after the response: move",
            id="a stage before the response after one behind it",
        ),
        pytest.param(
            "mocks:\n  - {match: GET a.example/, stages: [{after: {uniform: [9s, 5s]}}]}",
            "mocks.yaml:2: mocks[0].stages[0].after.uniform: 9 s is more than 5 s: write the smaller one first",
            id="a range in the wrong order",
        ),
        pytest.param(
            MOCK.replace("      to:", "      retry: strpe\n      to:"),
            "mocks.yaml:5: mocks[0].webhook.retry: 'strpe' is not a retry preset; did you mean 'stripe'? (possible values: none,",
            id="a retry preset",
        ),
        pytest.param(
            MOCK.replace("      to:", "      retry: {waits: [1s], stop_on: [4xy]}\n      to:"),
            "mocks.yaml:5: mocks[0].webhook.retry.stop_on[0]: '4xy' is not a status: write 200, or 2xx for all from 200 to 299",
            id="a status of a retry",
        ),
        pytest.param(
            MOCK.replace("      to:", "      sign: {scheme: strip, secret: s}\n      to:"),
            "mocks.yaml:5: mocks[0].webhook.sign.scheme: 'strip' is not a scheme; did you mean 'stripe'? (possible values: standard-webhooks,",
            id="a scheme",
        ),
        pytest.param(
            MOCK.replace("      to:", "      sign: {secret: s, algorithm: hmac-sha255, headers: {a: b}}\n      to:"),
            "mocks.yaml:5: mocks[0].webhook.sign.algorithm: 'hmac-sha255' is not a value of `algorithm`; did you mean 'hmac-sha256'? (possible",
            id="an algorithm",
        ),
        pytest.param(
            MOCK.replace("      to:", "      sign: {secret: s, message: '{bdy}', headers: {a: b}}\n      to:"),
            "mocks.yaml:5: mocks[0].webhook.sign.message: {bdy} is not known; did you mean 'body'?: use {id} {timestamp} {body}",
            id="a token",
        ),
        pytest.param(
            MOCK.replace("      to:", "      sign: {secret: s}\n      to:"),
            "mocks.yaml:5: mocks[0].webhook.sign: the signature is sent nowhere: write `headers`, `fields` or a `scheme`",
            id="a signature that is sent nowhere",
        ),
        pytest.param(
            MOCK.replace("      json: {id", "      file: nowhere.pdf\n      x: {id"),
            "mocks.yaml:7: mocks[0].webhook.x: the key 'x' is not known",
            id="an unknown key beside a body",
        ),
        pytest.param(
            MOCK.replace('      json: {id: "{{ job.id }}"}', "      file: nowhere.pdf"),
            "mocks.yaml:6: mocks[0].webhook.file: the file 'nowhere.pdf' cannot be read: No such file or directory",
            id="a file",
        ),
        pytest.param(
            MOCK.replace("POST api.slow.example/jobs", "POST api.slow.example/jobs\n    when: request.jsn.a"),
            "mocks.yaml:3: mocks[0].when: request has no 'jsn'; did you mean 'json'?",
            id="a name in a condition",
        ),
        pytest.param(
            MOCK.replace("POST api.slow.example/jobs", "POST api.slow.example/jobs\n    when: job.id"),
            "mocks.yaml:3: mocks[0].when: there is no 'job' here",
            id="a job before there is one",
        ),
        pytest.param(
            MOCK.replace("    response:", "    job: {vars: {language: en}}\n    response:").replace(
                "job.id", "job.vars.lang"
            ),
            "mocks.yaml:4: mocks[0].response.json.id: job.vars has no 'lang'",
            id="a var",
        ),
        pytest.param(
            MOCK.replace("POST api.slow.example/jobs", "POST api.slow.example/jobs\n    times: 0"),
            "mocks.yaml:3: mocks[0].times: 0 is not a number of requests: write 1 or more",
            id="times",
        ),
        pytest.param(
            MOCK.replace("POST api", "PSOT api"),
            "mocks.yaml:2: mocks[0].match: 'PSOT api.slow.example/jobs' has the method 'PSOT'; did you mean 'POST'?",
            id="a method of match",
        ),
        pytest.param(
            MOCK.replace("/jobs", "/:id/x"),
            "mocks.yaml:2: mocks[0].match: 'POST api.slow.example/:id/x': ':id' matches no segment: write {id}",
            id="another router's capture",
        ),
        pytest.param(
            "mocks:\n  - {match: 'GET a.example/{id}', lookup: request.path.idd}",
            "mocks.yaml:2: mocks[0].lookup: request.path has no 'idd'; did you mean 'id'?",
            id="what the path does not capture",
        ),
        pytest.param(
            MOCK.replace('{json: {id: "{{ job.id }}"}}', "forwrd"),
            "mocks.yaml:3: mocks[0].response: 'forwrd' does not fit here: write a map, a list of maps, or `forward`",
            id="forward",
        ),
        pytest.param("mocks:", "mocks.yaml:1: mocks: null does not fit here: expected a list, got null", id="nothing"),
        pytest.param(
            MOCK.replace("request.json.callback_url", "request.json.callback_url | trm"),
            "mocks.yaml:5: mocks[0].webhook.to: there is no filter `trm`; did you mean 'trim'?",
            id="a filter",
        ),
        pytest.param(
            MOCK.replace("      to:", "      sign: {scheme: svix, secret: whsec_!!!}\n      to:"),
            "mocks.yaml:5: mocks[0].webhook.sign.secret: the secret is not base64",
            id="a secret",
        ),
        pytest.param(
            MOCK.replace("      to:", "      verify: mocks.yaml\n      to:"),
            "mocks.yaml:5: mocks[0].webhook.verify: 'mocks.yaml' has no certificate in PEM form: write true, false or a CA's file",
            id="a CA",
        ),
        pytest.param(
            MOCK.replace('json: {id: "{{ job.id }}"}\n', "json: {'{{ job.id }}': 1}\n"),
            "a key cannot be an expression: write the map as one expression",
            id="an expression for a key",
        ),
        pytest.param(
            MOCK.replace("{json: {", "{fault: resett, json: {"),
            "mocks.yaml:3: mocks[0].response.fault: 'resett' is not a fault of a response; did you mean 'reset'? (possible values: reset,",
            id="a fault",
        ),
        pytest.param(
            MOCK.replace("{json: {", "{fault: {kind: drop}, json: {"),
            "mocks.yaml:3: mocks[0].response.fault.kind: 'drop' is not a fault of a response (possible values: reset, empty, truncate,",
            id="a webhook's fault on a response",
        ),
        pytest.param(
            MOCK.replace("{json: {", "{fault: {chance: 0.2}, json: {"),
            "mocks.yaml:3: mocks[0].response.fault: the key 'kind' is missing",
            id="a fault of no kind",
        ),
        pytest.param(
            MOCK.replace("      to:", "      fault: {kind: drop, chance: 20}\n      to:"),
            "mocks.yaml:5: mocks[0].webhook.fault.chance: 20 does not fit here: expected a number <= 1.0",
            id="a chance",
        ),
        pytest.param(
            MOCK.replace("      to:", "      fault: {kind: drop, count: 0}\n      to:"),
            "mocks.yaml:5: mocks[0].webhook.fault.count: 0 does not fit here: expected a number >= 1",
            id="a count",
        ),
        pytest.param(
            MOCK.replace("      to:", "      redirects: 21\n      to:"),
            "mocks.yaml:5: mocks[0].webhook.redirects: 21 does not fit here: expected a number <= 20",
            id="redirects",
        ),
        pytest.param(
            MOCK.replace("      to:", "      fault: {kind: drop, chanse: 0.5}\n      to:"),
            "mocks.yaml:5: mocks[0].webhook.fault.chanse: the key 'chanse' is not known; did you mean 'chance'?",
            id="a key of a fault",
        ),
        pytest.param(
            MOCK.replace("      to:", "      fault: corrupt-signature\n      to:"),
            "mocks.yaml:5: mocks[0].webhook.fault: corrupt-signature: mocks[0].webhook has no `sign`: write one, or another fault",
            id="a signature to corrupt that is not there",
        ),
        pytest.param(
            "defaults: {webhook: {fault: corrupt-body}}\n" + MOCK[: MOCK.rindex("      json:")],
            "mocks.yaml:1: defaults.webhook.fault: corrupt-body: mocks[0].webhook has no body: write one, or another fault",
            id="a body to corrupt that is not there",
        ),
        pytest.param(
            MOCK.replace("    webhook:", "    stages: [{webhook: {json: '{{ item }}'}}]\n    webhook:"),
            "mocks.yaml:4: mocks[0].stages[0].webhook.json: there is no 'item' here: a webhook has it if its stage or its mock has `each`",
            id="an item without a list",
        ),
        pytest.param(
            MOCK.replace("      to:", "      each: [1]\n      to:"),
            "mocks.yaml:5: mocks[0].webhook.each: the key 'each' is not known: it is a key of a mock and of a stage; the keys",
            id="a key of something else",
        ),
        pytest.param(
            MOCK + "    repeat: {every: 1s, times: 2}\n",
            "mocks.yaml:7: mocks[0].repeat: the key 'repeat' is not known: it is a key of a stage; the keys here are match,",
            id="a repetition that is not in a stage",
        ),
        pytest.param(
            "mocks:\n  - {match: GET a.example/, each: [1]}",
            "mocks.yaml:2: mocks[0].each: there is no `webhook` beside it: write one, or remove `each`",
            id="a list without a webhook",
        ),
        pytest.param(
            "mocks:\n  - {match: GET a.example/, stages: [{status: a, each: [1]}]}",
            "mocks.yaml:2: mocks[0].stages[0].each: there is no `webhook` beside it",
            id="a list without a webhook in a stage",
        ),
        pytest.param(
            STAGES % "{each: {a: 1}, webhook: true}",
            "mocks.yaml:2: mocks[0].stages[0].each: ",
            id="a map in place of a list",
        ),
        pytest.param(
            "mocks:\n  - {match: GET a.example/, stages: [{repeat: {every: 1s, times: 2}}]}",
            "mocks.yaml:2: mocks[0].stages[0].repeat: this stage has no `webhook` to repeat: write one, or remove `repeat`",
            id="a repetition without a webhook",
        ),
        pytest.param(
            STAGES % "{webhook: true, repeat: {every: 1s}}",
            "mocks.yaml:2: mocks[0].stages[0].repeat: it would never end: write `times`, or a stage behind this one",
            id="a repetition without an end",
        ),
        pytest.param(
            STAGES % "{webhook: true, after: before-response, repeat: {every: 1s, times: 2}}",
            "mocks.yaml:2: mocks[0].stages[0].repeat: a stage before the response cannot be repeated: write another time",
            id="a repetition before the response",
        ),
        pytest.param(
            STAGES % "{webhook: true, repeat: {every: 0s, times: 2}}",
            "mocks.yaml:2: mocks[0].stages[0].repeat.every: the time between two webhooks is 0 s: write more",
            id="a repetition at once",
        ),
        pytest.param(
            STAGES % "{webhook: true, repeat: {every: 1s, times: 1001}}",
            "mocks.yaml:2: mocks[0].stages[0].repeat.times: 1001 is not a number of webhooks: write 1 to 1,000",
            id="too many repetitions",
        ),
        pytest.param(
            "mocks:\n  - {match: GET a.example/, response: []}",
            "mocks.yaml:2: mocks[0].response: the list is empty: write a response, or remove `response`",
            id="no response",
        ),
        pytest.param(
            "mocks:\n  - {match: GET a.example/, response: [{when: request.query.a}]}",
            "mocks.yaml:2: mocks[0].response[0].when: this mock has no response if no `when` holds: write a last one",
            id="no last response",
        ),
        pytest.param(
            "mocks:\n  - {match: GET a.example/, response: [{status: 201}, {status: 202}]}",
            "mocks.yaml:2: mocks[0].response[0]: without `when` it is always given, and those behind it never: write a",
            id="a response that is never given",
        ),
        pytest.param(
            "mocks:\n  - {match: GET a.example/, response: [{when: false, rejects: true}, {}]}",
            "mocks.yaml:2: mocks[0].response[0].rejects: it takes back the job that the request has started, and this mock",
            id="nothing to take back",
        ),
        pytest.param("mocks: &a [*a]", "mocks.yaml:1: this alias contains itself", id="a circle"),
        pytest.param(
            "mocks: !tag []",
            "mocks.yaml:1: mocks: the YAML tag '!tag' cannot be used here: write plain YAML 1.2",
            id="a tag",
        ),
    ],
)
def test_an_error_in_a_file_is_one_line_with_its_place(read, wrong: str, says: str) -> None:
    with pytest.raises(MocksError) as raised:
        read(wrong)

    assert says in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "second",
    [
        "{match: POST api.slow.example/jobs/}",
        "{match: PUT api.slow.example/jobs}",
        "{match: POST api.slow.example/**}",
        "{match: POST *.slow.example/jobs}",
        "{match: ANY api.slow.example/jobs}",
        "{match: 'POST api.slow.example/{any}'}",
    ],
)
def test_a_mock_that_matches_more_than_an_earlier_one_can_match(read, second: str) -> None:
    assert len(read(f"mocks:\n  - {{match: POST api.slow.example/jobs}}\n  - {second}").all) == 2


@pytest.mark.parametrize("condition", ["when: request.json.a", "times: 2", "lookup: request.json.id"])
def test_a_mock_after_one_with_a_condition_can_match(read, condition: str) -> None:
    file = f"mocks:\n  - {{match: GET a.example/, {condition}}}\n  - {{match: GET a.example/}}"

    assert len(read(file).all) == 2


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(MocksError, match=r"nowhere\.yaml: cannot be read: No such file or directory"):
        load([tmp_path / "nowhere.yaml"], {})
