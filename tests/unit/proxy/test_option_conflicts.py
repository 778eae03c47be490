"""The lines about mitmproxy's options that name mocked hosts."""

import pytest

from latehook.proxy.option_conflicts import describe

HOSTS = [("api.slow.example", None), ("localhost", 9000), ("*.wild.example", None), ("::1", 9001)]
ALL_THE_SAME = ": mocked hosts are answered by their mocks all the same"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"ignore_hosts": ["^LOCALHOST"]}, "the option ignore_hosts=^LOCALHOST names localhost:9000"),
        ({"ignore_hosts": ["slow", "nothing", ":443$"]}, "the option ignore_hosts=slow, ignore_hosts=:443$ names api.slow.example, *.wild.example"),
        ({"ignore_hosts": [r"localhost:9000$"]}, "the option ignore_hosts=localhost:9000$ names localhost:9000"),
        ({"allow_hosts": ["other.example"]}, "the option allow_hosts=other.example leaves out api.slow.example, localhost:9000, *.wild.example, [::1]:9001"),
        ({"allow_hosts": ["example", "localhost"]}, "the option allow_hosts=example, allow_hosts=localhost leaves out [::1]:9001"),
        ({"tcp_hosts": ["wild"]}, "the option tcp_hosts=wild names *.wild.example"),
        ({"udp_hosts": ["::1"]}, "the option udp_hosts=::1 names [::1]:9001"),
    ],
)  # fmt: skip
def test_an_option_that_names_mocked_hosts(options: dict[str, list[str]], said: str) -> None:
    assert list(describe(options, HOSTS)) == [said + ALL_THE_SAME]


@pytest.mark.parametrize(
    "options", [{}, {"ignore_hosts": []}, {"ignore_hosts": ["localhost:3000", "("]}, {"allow_hosts": ["."]}]
)
def test_an_option_that_names_none(options: dict[str, list[str]]) -> None:
    assert list(describe(options, HOSTS)) == []


def test_many_hosts_are_counted() -> None:
    hosts = [(f"h{n}.example", None) for n in range(8)]

    [line] = describe({"ignore_hosts": ["example"]}, hosts)

    assert "h0.example, h1.example, h2.example, h3.example, h4.example and 3 more" in line
