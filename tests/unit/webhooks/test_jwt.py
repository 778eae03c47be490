"""JSON Web Tokens and other JSON Web Signatures: PyJWT and joserfc accept what was signed, and nothing else."""

import hashlib
import json
from dataclasses import replace
from typing import Any

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jws
from joserfc.errors import BadSignatureError
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey

from latehook.webhooks.jws import ALGORITHMS
from latehook.webhooks.schemes import SCHEMES, JwtScheme, Scheme
from latehook.webhooks.signing import sign
from latehook.webhooks.templates import Verbatim
from support.keys import key_for, pem, public_pem
from support.signing import NOW, UUID, message

SHARED = "shared-secret-of-at-least-64-bytes-so-that-every-hash-accepts-it-00"
KEYS = {"RS": RSAKey, "PS": RSAKey, "ES": ECKey, "Ed": OKPKey}


def secret_for(algorithm: str) -> str:
    return SHARED if algorithm.startswith("HS") else pem(key_for(algorithm))


def public_for(algorithm: str) -> str:
    return SHARED if algorithm.startswith("HS") else public_pem(key_for(algorithm))


def jose_key(algorithm: str) -> Any:
    kind = KEYS.get(algorithm[:2])
    return OctKey.import_key(SHARED) if kind is None else kind.import_key(public_for(algorithm))


def token(made: JwtScheme, template: str = "{jwt}", body: bytes = b"{}", **keys: Any) -> str:
    """Return the JWT that a message with this body gets."""
    scheme = Scheme(jwt=made, headers={"x": template}, **keys)
    return dict(sign(scheme, [secret_for(made.algorithm)], message(body)).headers)["x"]


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_both_libraries_accept_each_algorithm(algorithm: str) -> None:
    made = JwtScheme(algorithm, {"cty": "json"}, {"iat": "{timestamp}", "exp": "{timestamp+5m}", "hash": "{sha256}"})

    text = token(made, key_id="key-1")

    options: Any = {"verify_exp": False, "verify_iat": False}
    claims = jwt.decode(text, public_for(algorithm), [algorithm], options=options)
    assert claims == {"iat": int(NOW), "exp": int(NOW) + 300, "hash": hashlib.sha256(b"{}").hexdigest()}
    assert jwt.get_unverified_header(text) == {"alg": algorithm, "kid": "key-1", "typ": "JWT", "cty": "json"}
    assert json.loads(jws.deserialize_compact(text, jose_key(algorithm), [algorithm]).payload) == claims
    changed = text[:-8] + ("B" if text[-8] == "A" else "A") + text[-7:]
    with pytest.raises(jwt.InvalidSignatureError):
        jwt.decode(changed, public_for(algorithm), [algorithm], options=options)


@given(body=st.binary(max_size=100), at=st.integers(0, 99))
@pytest.mark.parametrize("algorithm", ["HS256", "ES256", "EdDSA"])
def test_a_detached_signature_covers_every_byte_of_the_body(algorithm: str, body: bytes, at: int) -> None:
    text = token(JwtScheme(algorithm), "{jwt.detached}", body)

    assert (text.split(".")[1], jwt.get_unverified_header(text)) == ("", {"alg": algorithm})
    key = jose_key(algorithm)
    whole = text.replace("..", f".{jwt.utils.base64url_encode(body).decode()}.")
    assert jws.deserialize_compact(whole, key, [algorithm]).payload == body
    if body:
        at %= len(body)
        other = body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :]
        with pytest.raises(BadSignatureError):
            jws.deserialize_compact(
                text.replace("..", f".{jwt.utils.base64url_encode(other).decode()}."), key, [algorithm]
            )


@given(body=st.binary(max_size=100))
def test_a_payload_that_is_not_encoded(body: bytes) -> None:
    # RFC 7797; Saleor signs its webhooks so
    text = token(JwtScheme("RS256", {"b64": False, "crit": ["b64"]}), "{jwt.detached}", body)

    decoded = jwt.PyJWS().decode_complete(text, public_for("RS256"), ["RS256"], detached_payload=body)
    assert decoded["header"] == {"alg": "RS256", "b64": False, "crit": ["b64"]}
    with pytest.raises(jwt.InvalidSignatureError):
        jwt.PyJWS().decode_complete(text, public_for("RS256"), ["RS256"], detached_payload=body + b"x")


def test_what_an_expression_gave_is_no_template() -> None:
    claims = {"a": Verbatim("{sha256}"), "b": {"c": [("<", Verbatim("{id}"), ">{id}"), None, 1.5]}, "d": None}

    text = token(JwtScheme("HS256", {"typ": None}, claims))

    assert jwt.decode(text, SHARED, ["HS256"]) == {"a": "{sha256}", "b": {"c": ["<{id}>msg_1", None, 1.5]}}
    assert jwt.get_unverified_header(text) == {"alg": "HS256"}


def test_plaid_as_its_documentation_verifies_it() -> None:
    made = replace(SCHEMES["plaid"], key_id="bfbd5111-8e33-4643-8ced-b2e642a72f3c")

    headers = dict(sign(made, [pem(key_for("ES256"))], message(b'{"webhook_code":"PRODUCT_READY"}')).headers)

    text = headers["Plaid-Verification"]
    assert jwt.get_unverified_header(text) == {"alg": "ES256", "kid": made.key_id, "typ": "JWT"}
    claims = jwt.decode(text, public_for("ES256"), ["ES256"], options={"verify_iat": False})
    digest = hashlib.sha256(b'{"webhook_code":"PRODUCT_READY"}').hexdigest()
    assert claims == {"iat": int(NOW), "request_body_sha256": digest}


def test_vonage_as_its_documentation_verifies_it() -> None:
    made = replace(SCHEMES["vonage"], key_id="a1b2c3d")

    headers = dict(sign(made, [SHARED], message(b'{"status":"delivered"}')).headers)

    claims = jwt.decode(headers["Authorization"].removeprefix("Bearer "), SHARED, ["HS256"])
    assert claims == {
        "iat": int(NOW),
        "jti": UUID,
        "iss": "Vonage",
        "payload_hash": hashlib.sha256(b'{"status":"delivered"}').hexdigest(),
        "api_key": "a1b2c3d",
    }
