"""Fixtures of the tests of the page."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from support.browser import CHROMIUM, FLAGS, MOCKS, Site, opened
from support.process import mitmdump
from support.receivers import answer, receiver


@pytest.fixture(scope="package")
def shared_site(confdir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    file = tmp_path_factory.mktemp("page") / "mocks.yaml"
    with receiver() as sut:
        file.write_text(MOCKS.format(sut=sut.url))
        with mitmdump(confdir, "--set", f"mock_file={file}") as proxy:
            yield Site(proxy, sut)


@pytest.fixture
def site(shared_site: Site) -> Site:
    """The shared proxy after a reset."""
    shared_site.post("reset")
    shared_site.sut.requests.clear()
    shared_site.sut.behave = answer()
    return shared_site


@pytest.fixture(scope="package")
def chromium() -> Iterator[Browser]:
    assert CHROMIUM is not None, "with CI=true the page is always tested: install Debian's `chromium-headless-shell`"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def page(chromium: Browser, site: Site) -> Iterator[Page]:
    with opened(chromium, site.url) as page:
        yield page
