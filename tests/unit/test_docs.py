"""The documents: their examples load, their links lead somewhere, and they name what exists."""

import re
import shlex
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from latehook.base.messages import ResponseFault, WebhookFault
from latehook.mocksfile.loading import load
from latehook.mocksfile.words import RESPONSE_FAULTS, WEBHOOK_FAULTS
from latehook.store.address import parse_address
from support.paths import ROOT
from unit.test_layout import LATEHOOK, ORDER

README, REFERENCE = ROOT / "README.md", ROOT / "addon" / "REFERENCE.md"
ARCHITECTURE = ROOT / "addon" / "ARCHITECTURE.md"
SCALING = ROOT / "addon" / "SCALING.md"
HAPROXY = ROOT / "scripts" / "image" / "haproxy.cfg"
COMPOSE = ROOT / "scripts" / "image" / "compose.yaml"
DOCUMENTS = [
    README,
    REFERENCE,
    ARCHITECTURE,
    ROOT / "addon" / "RECIPES.md",
    ROOT / "addon" / "LANGUAGES.md",
    SCALING,
    ROOT / "scripts" / "README.md",
    ROOT / "tests" / "README.md",
]
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


def test_the_configuration_of_haproxy_in_the_document_is_the_one_that_is_tested() -> None:
    shown = SCALING.read_text().partition("```\ndefaults")[2].partition("```")[0]
    tested = {line.partition("#")[0].strip() for line in HAPROXY.read_text().splitlines()}

    assert {line.strip() for line in shown.splitlines() if "server latehook-" not in line} <= tested


def test_the_composed_haproxy_leads_to_the_composed_instances() -> None:
    services = YAML(typ="safe").load(COMPOSE)["services"]
    instances = {name for name, service in services.items() if service["image"] == "latehook"}

    assert dict(re.findall(r"^    server (\S+) (\S+)$", HAPROXY.read_text(), re.MULTILINE)) == {
        name: f"{name}:8080" for name in instances
    }
    assert services["latehook"]["volumes"] == ["./haproxy.cfg:/usr/local/etc/haproxy/haproxy.cfg:ro"]
    for name in instances - {"latehook-1"}:  # two that make the CA at once would disagree
        assert services[name]["depends_on"] == {"latehook-1": {"condition": "service_healthy"}}
    options = shlex.split(services["latehook-3"]["command"])
    assert options[::2] == ["--set"] * 2
    given = dict(option.split("=", 1) for option in options[1::2])
    assert (given.keys(), parse_address(given["mock_store"]).url) == ({"mock_store", "mock_token"}, given["mock_store"])


def test_every_fault_has_a_description() -> None:
    assert (list(RESPONSE_FAULTS), list(WEBHOOK_FAULTS)) == (list(ResponseFault), list(WebhookFault))


def test_the_readme_is_short() -> None:
    assert len(README.read_text().splitlines()) <= 130


def test_the_architecture_lists_the_packages_in_the_order_of_their_imports() -> None:
    picture = ARCHITECTURE.read_text().partition("```\n")[2].partition("```")[0]

    assert re.findall(r"^(\w+)", picture, re.MULTILINE) == [*ORDER]


def test_every_module_that_the_architecture_names_exists() -> None:
    named = set(re.findall(r"`((?:\w+/)*\w+\.(?:py|html|json))`", ARCHITECTURE.read_text()))
    of_mitmproxy = {"addons/next_layer.py"}
    folders = (ROOT, LATEHOOK, LATEHOOK / "store" / "postgresql", ROOT / "tests" / "support")  # one has its section

    assert {name for name in named - of_mitmproxy if not any((folder / name).exists() for folder in folders)} == set()
