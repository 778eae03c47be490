"""HTTP message signatures: the vectors of RFC 9421, and the library `http-message-signatures` as the receiver."""

import base64
import hashlib
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from http_message_signatures import HTTPMessageVerifier, InvalidSignature, MappingKeyResolver, algorithms
from hypothesis import given
from hypothesis import strategies as st

from latehook.base.errors import SigningError
from latehook.webhooks.draft import Message
from latehook.webhooks.schemes import SCHEMES
from latehook.webhooks.signing import Signed, sign
from latehook.webhooks.urls import split_target
from support.keys import key_for, pem
from support.signing import NOW, URL, message

PRESET = replace(SCHEMES["http-message-signatures"], key_id="key-1")
SHARED = "a shared secret"
ALGORITHMS = {
    "hmac-sha256": algorithms.HMAC_SHA256,
    "rsa-sha256": algorithms.RSA_V1_5_SHA256,
    "rsa-pss-sha512": algorithms.RSA_PSS_SHA512,
    "ecdsa-p256": algorithms.ECDSA_P256_SHA256,
    "ecdsa-p384": algorithms.ECDSA_P384_SHA384,
    "ed25519": algorithms.ED25519,
}


def secret_for(algorithm: str) -> str:
    return SHARED if algorithm.startswith("hmac") else pem(key_for(algorithm))


def verify(sent: Message, signed: Signed, algorithm: str = "hmac-sha256", body: bytes | None = None) -> Any:
    """Verify a message as a receiver would. Raises InvalidSignature."""
    key = SHARED.encode() if algorithm.startswith("hmac") else key_for(algorithm).public_key()
    verifier = HTTPMessageVerifier(
        signature_algorithm=ALGORITHMS[algorithm],
        key_resolver=MappingKeyResolver(public_keys={"key-1": key}, private_keys={}),
    )
    base, target = split_target(signed.url)
    request = SimpleNamespace(method=sent.method, url=base + target, headers=dict([*sent.headers, *signed.headers]))
    [result] = verifier.verify(request, max_age=None, body=signed.body if body is None else body)
    return result


# RFC 9421 appendix B.2: its test request, which has no `alg`
RFC = Message(
    "",
    1618884473.0,
    "POST",
    "https://example.com/foo?param=Value&Pet=dog",
    b'{"hello": "world"}',
    (
        ("Date", "Tue, 20 Apr 2021 02:07:55 GMT"),
        ("Content-Type", "application/json"),
        ("Content-Length", "18"),
    ),
    str,
)
RFC_ED25519 = (
    "-----BEGIN PRIVATE KEY-----\n"
    "MC4CAQAwBQYDK2VwBCIEIJ+DYvh6SEqVTm50DFtMDoQikTmiCqirVv9mWG9qfSnF\n"
    "-----END PRIVATE KEY-----\n"
)


@pytest.mark.parametrize(
    ("algorithm", "key_id", "components", "secret", "signature"),
    [
        (
            "hmac-sha256",
            "test-shared-secret",
            ("date", "@authority", "content-type"),
            "uzvJfB4u3N0Jy4T7NZ75MDVcr8zSTInedJtkgcu46YW4XByzNJjxBdtjUkdJPBtbmHhIDi6pcl8jsasjlTMtDQ==",
            "pxcQw6G3AjtMBQjwo8XzkZf/bws5LelbaMk5rGIGtE8=",
        ),
        (
            "ed25519",
            "test-key-ed25519",
            ("date", "@method", "@path", "@authority", "content-type", "content-length"),
            RFC_ED25519,
            "wqcAqbmYJ2ji2glfAMaRy4gruYYnx2nEFN2HN6jrnDnQCK1u02Gb04v9EDgwUPiu4A0w6vuQv5lIp5WPpBKRCw==",
        ),
    ],
)
def test_vectors_of_the_rfc(
    algorithm: str, key_id: str, components: tuple[str, ...], secret: str, signature: str
) -> None:
    encoding = "utf8" if "BEGIN" in secret else "base64"
    made = replace(PRESET, algorithm=algorithm, key_id=key_id, components=components, secret_encoding=encoding)

    signed = sign(replace(made, parameters={"alg": None}), [secret], RFC)

    covered = " ".join(f'"{name}"' for name in components)
    headers = dict(signed.headers)
    assert headers["Signature-Input"] == f'sig1=({covered});created=1618884473;keyid="{key_id}"'
    assert headers["Signature"] == f"sig1=:{signature}:"


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_receiver_accepts_each_algorithm(algorithm: str) -> None:
    sent = message(b'{"id": 1}', url=f"{URL}?a=%20b&c=d")
    signed = sign(replace(PRESET, algorithm=algorithm), [secret_for(algorithm)], sent)

    result = verify(sent, signed, algorithm)

    assert result.parameters["alg"] == ALGORITHMS[algorithm].algorithm_id
    assert result.body == b'{"id": 1}'
    with pytest.raises(InvalidSignature):
        verify(sent, sign(replace(PRESET, algorithm=algorithm), [secret_for(algorithm)], sent, corrupt=True), algorithm)


@pytest.mark.parametrize(
    "url",
    [
        "http://app.test",
        "http://App.Test:80/",
        "https://app.test:443?a=b",
        "https://app.test:8443/%2F/../x?y=%20&",
        "http://user:pass@app.test/",
        "http://[::1]:9000/hook",
        "http://bücher.example/ü?ä=1",
        "http://app.test/a?b=c#fragment",
    ],
)
def test_a_receiver_accepts_each_url_and_every_component(url: str) -> None:
    sent = message(b"x", url=url, cache_control="  a, b  ")
    derived = ("@method", "@target-uri", "@authority", "@scheme", "@request-target", "@path", "@query")
    made = replace(PRESET, components=(*derived, "content-type", "cache-control", "content-digest", "host"))

    signed = sign(made, [SHARED], sent)

    base, target = split_target(url)
    host = httpx.Request("POST", base).headers["host"]  # what the receiver puts its own URL together from
    at_receiver = f"{url.partition(':')[0]}://{host}{target}"
    verify(replace(sent, headers=(*sent.headers, ("host", host))), replace(signed, url=at_receiver))


@dataclass(frozen=True)
class Case:
    body: bytes
    value: str


CASES = st.builds(Case, st.binary(max_size=60), st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1))


@given(case=CASES, at=st.integers(0, 59))
def test_a_changed_byte_is_rejected(case: Case, at: int) -> None:
    sent = message(case.body, x_trace=case.value)
    made = replace(PRESET, components=(*PRESET.components, "x-trace"))
    signed = sign(made, [SHARED], sent)

    verify(sent, signed)
    with pytest.raises(InvalidSignature):
        verify(message(case.body, x_trace=case.value + "x"), signed)
    if case.body:
        at %= len(case.body)
        other = case.body[:at] + bytes([case.body[at] ^ 1]) + case.body[at + 1 :]
        with pytest.raises(InvalidSignature):
            verify(sent, signed, body=other)


def test_the_digest_is_that_of_rfc_9530_and_a_header_of_the_mock_comes_first() -> None:
    sent = message(b"{}")
    assert dict(sign(PRESET, [SHARED], sent).headers)["Content-Digest"] == (
        f"sha-256=:{base64.b64encode(hashlib.sha256(b'{}').digest()).decode()}:"
    )

    own = f"sha-512=:{base64.b64encode(hashlib.sha512(b'{}').digest()).decode()}:"
    with_own = message(b"{}", content_digest=own)
    signed = sign(PRESET, [SHARED], with_own)
    assert "Content-Digest" not in dict(signed.headers)
    verify(with_own, signed)


def test_parameters_are_templates_and_null_leaves_one_out() -> None:
    parameters = {"created": None, "expires": "{timestamp+5m}", "nonce": "{id}", "tag": 'a "b" \\', "alg": None}

    headers = dict(sign(replace(PRESET, parameters=parameters), [SHARED], message(b"")).headers)

    expected = f';keyid="key-1";expires={int(NOW) + 300};nonce="msg_1";tag="a \\"b\\" \\\\"'
    assert headers["Signature-Input"].partition(")")[2] == expected


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        (
            {"components": ("x-missing",)},
            "the component 'x-missing' is not a header of this webhook: add it to `headers`",
        ),
        ({"parameters": {"tag": "ü"}}, "parameters.tag is 'ü': write a whole number, or a text in ASCII"),
        ({"parameters": {"tag": 1.5}}, "parameters.tag is 1.5: write a whole number"),
    ],
)
def test_what_cannot_be_signed_is_an_error(keys: dict[str, Any], problem: str) -> None:
    with pytest.raises(SigningError) as raised:
        sign(replace(PRESET, **keys), [SHARED], message(b""))

    assert str(raised.value).startswith(problem)
