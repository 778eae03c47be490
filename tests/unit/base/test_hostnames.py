"""Hosts as they are compared: names folded, and addresses in each form that a client resolves."""

import socket

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from latehook.base.hostnames import address_of, canonical_host

NUMBERS = st.integers(0, 2**32 - 1)


def forms_of(address: int) -> list[str]:
    """The forms of an IPv4 address that `inet_aton` takes: one to four numbers, decimal, octal or hexadecimal."""
    a, b, c, d = address.to_bytes(4)
    parts = [(address,), (a, address & 0xFFFFFF), (a, b, address & 0xFFFF), (a, b, c, d)]
    writers = [
        str,
        lambda number: f"0{number:o}",
        hex,
        lambda number: f"0X{number:04X}",
        lambda number: f"000{number:o}",
    ]
    forms = [".".join(map(write, some)) for some in parts for write in writers]
    return [*forms, f"{a}.0{b:o}.{c:#x}.{d}", f"::ffff:{a}.{b}.{c}.{d}", f"[::FFFF:{a:02x}{b:02x}:{c:02x}{d:02x}]"]


@given(NUMBERS)
@example(0x7F000001)
@example(255)
def test_an_ipv4_address_is_one_host_in_every_form(address: int) -> None:
    usual = socket.inet_ntoa(address.to_bytes(4)) if address else "127.0.0.1"

    for form in forms_of(address):
        assert canonical_host(form) == usual, form
        assert canonical_host(f"{form}.") == usual, form


@given(st.integers(2**16, 2**32 - 1))
def test_an_ipv6_address_that_networks_translate_is_the_ipv4_one(address: int) -> None:
    usual = socket.inet_ntoa(address.to_bytes(4))

    for form in (
        f"64:ff9b::{usual}",
        f"[64:FF9B::{address >> 16:x}:{address & 0xFFFF:x}]",
        f"::{usual}",
        f"[0::{usual}]",
    ):
        assert canonical_host(form) == usual


@given(st.text("0123456789abcdefxX.", max_size=24))
@example("1.2.3.4.5")
@example("0x")
@example("08.1")
@example("256.1")
def test_a_text_is_an_address_where_the_system_takes_it_for_one(text: str) -> None:
    try:
        system = socket.inet_ntoa(socket.inet_aton(text))
    except OSError:
        system = None

    found = address_of(text)
    assert (None if found is None else str(found)) == system


@pytest.mark.parametrize(
    "form",
    [
        "::1",
        "[::1]",
        "0:0:0:0:0:0:0:1",
        "0000::0001",
        "::0:1",
        "[0:0::1]",
        "0::0.0.0.1",
        "::1%lo",
        "::",
        "[::0]",
        "0::",
    ],
)
def test_an_ipv6_address_is_one_host_in_every_form(form: str) -> None:
    assert canonical_host(form) == "::1"


@pytest.mark.parametrize("stop", ["", ".", "\u3002", "\uff0e", "\uff61"])
@pytest.mark.parametrize(
    ("form", "host"),
    [
        ("API.Slow.example", "api.slow.example"),
        ("\uff41pi.slow.example", "api.slow.example"),
        ("api\u3002slow\uff0eexample", "api.slow.example"),
        ("b\u00fccher.example", "xn--bcher-kva.example"),
        ("XN--bcher-KVA.example", "xn--bcher-kva.example"),
        ("\uff11\uff12\uff17.1", "127.0.0.1"),
        ("stra\u00dfe.example", "strasse.example"),
        ("xn--strae-oqa.example", "strasse.example"),
        ("XN--NXASMM1C.example", "xn--nxasmq6b.example"),
        ("xn--a-ecp.ru", "xn--a-ecp.ru"),
    ],
)
def test_a_name_is_one_host_whatever_its_case_script_and_full_stops(form: str, host: str, stop: str) -> None:
    assert canonical_host(form + stop) == host


@pytest.mark.parametrize(
    "host",
    ["0" * 200 + "177.0.0.1", "\u00fc." * 20_000, "a." * 20_000, "1." * 20_000, "\uff10" * 20_000, "9" * 20_000],
)
def test_a_host_of_any_length_is_read(host: str) -> None:
    """A reading that takes quadratic time would end in the test's time limit."""
    assert canonical_host(host)
