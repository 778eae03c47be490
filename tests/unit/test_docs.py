"""What the documents show works, and what there is stands in them."""

import re
from pathlib import Path

import pytest

from latehook.base.model import ResponseFault, WebhookFault
from latehook.expressions.names import AT_REQUEST
from latehook.expressions.sandbox import Sandbox
from latehook.expressions.views import JobView, RandomView, RequestView, ResponseView, WebhookView
from latehook.mocksfile.loading import load
from latehook.mocksfile.shared_entries import DelayEntry, Lognormal
from latehook.mocksfile.words import RESPONSE_FAULTS, WEBHOOK_FAULTS
from support.paths import ROOT
from unit.test_layout import LATEHOOK, ORDER

README, REFERENCE = ROOT / "README.md", ROOT / "addon" / "REFERENCE.md"
ARCHITECTURE = ROOT / "addon" / "ARCHITECTURE.md"
DOCUMENTS = [README, REFERENCE, ARCHITECTURE, ROOT / "addon" / "RECIPES.md", ROOT / "scripts" / "README.md"]
EXAMPLES = [
    pytest.param(text, id=f"{document.stem}-{number}")
    for document in (README, REFERENCE)
    for number, text in enumerate(re.findall(r"^```yaml\n(.*?)^```", document.read_text(), re.MULTILINE | re.DOTALL))
]


@pytest.mark.parametrize("text", EXAMPLES)
def test_every_example_loads(text: str, tmp_path: Path) -> None:
    file = tmp_path / "mocks.yaml"
    file.write_text(text)

    assert load([file], {"CALLBACK_URL": "http://app.test/hook"}).all


def _headings(document: Path) -> set[str]:
    """What a link may name of a document, behind its `#`."""
    lines = re.findall("^#+ (.*)", document.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", line).replace(" ", "-").lower() for line in lines}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: str(document.relative_to(ROOT)))
def test_every_link_leads_somewhere(document: Path) -> None:
    for file, heading in re.findall(r"\]\((?!https?:)([^)#]*)(?:#([^)]*))?\)", document.read_text()):
        target = document.parent / file if file else document
        assert target.exists(), file
        assert not heading or heading in _headings(target), heading


MEMBERS = {
    name for view in (RequestView, JobView, ResponseView, WebhookView, RandomView) for name in view.members
} | AT_REQUEST.keys()


@pytest.mark.parametrize(
    ("what", "names"),
    [
        ("names", MEMBERS),
        ("random times", {*DelayEntry.__struct_fields__, *Lognormal.__struct_fields__}),
        ("filters", {"tojson", "from_json", "b64encode", "b64decode", "sha256", "iso8601", "unix", "strftime", "all"}),
    ],
)
def test_the_reference_names_everything_there_is(what: str, names: set[str]) -> None:
    words = set(re.findall(r"[\w-]+", REFERENCE.read_text()))

    assert {name for name in names if name not in words} == set(), what


def test_every_fault_is_told_in_words() -> None:
    assert (list(RESPONSE_FAULTS), list(WEBHOOK_FAULTS)) == (list(ResponseFault), list(WebhookFault))


def test_the_reference_names_no_filter_that_is_not_there() -> None:
    assert {"tojson", "from_json", "unix", "all"} <= Sandbox().filters.keys()


def test_the_readme_is_short() -> None:
    assert len(README.read_text().splitlines()) <= 130


def test_the_architecture_lists_the_packages_in_the_order_of_their_imports() -> None:
    picture = ARCHITECTURE.read_text().partition("```\n")[2].partition("```")[0]

    assert re.findall(r"^(\w+)", picture, re.MULTILINE) == [*ORDER]


def test_every_module_that_the_architecture_names_exists() -> None:
    named = set(re.findall(r"`((?:\w+/)*\w+\.(?:py|html|json))`", ARCHITECTURE.read_text()))
    of_mitmproxy = {"addons/next_layer.py"}
    folders = (ROOT, LATEHOOK, ROOT / "tests" / "support")

    assert {name for name in named - of_mitmproxy if not any((folder / name).exists() for folder in folders)} == set()
