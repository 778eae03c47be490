"""Bodies: decoded with limits, and read as text and JSON."""

import gzip
import json
import zlib
from collections.abc import Callable
from functools import partial

import brotli
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from latehook.base.errors import BodyError
from latehook.base.json_text import MAX_JSON_VALUES, encode_json
from latehook.bodies.codings import MAX_BODY_SIZE
from latehook.bodies.decoding import decode, decode_text, parse_json

PLAIN = json.dumps({"name": "Zoë", "items": list(range(1000))}).encode()


def raw_deflate(body: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return compressor.compress(body) + compressor.flush()


@pytest.mark.parametrize(
    ("coding", "coded"),
    [
        pytest.param("", PLAIN, id="none"),
        pytest.param("identity", PLAIN, id="identity"),
        pytest.param("gzip", gzip.compress(PLAIN), id="gzip"),
        pytest.param("X-GZIP", gzip.compress(PLAIN), id="x-gzip"),
        pytest.param("gzip", gzip.compress(PLAIN[:9]) + gzip.compress(PLAIN[9:]), id="two members"),
        pytest.param("deflate", zlib.compress(PLAIN), id="deflate"),
        pytest.param("deflate", raw_deflate(PLAIN), id="deflate without the zlib frame"),
        pytest.param("zstd", zstandard.compress(PLAIN[:9]) + zstandard.compress(PLAIN[9:]), id="two frames"),
        pytest.param("br", brotli.compress(PLAIN), id="br"),
        pytest.param("zstd", zstandard.compress(PLAIN), id="zstd"),
        pytest.param("gzip, br", brotli.compress(gzip.compress(PLAIN)), id="one inside the other"),
    ],
)
def test_a_body_with_content_codings_is_decoded(coding: str, coded: bytes) -> None:
    assert decode(coded, len(coded), [coding]) == PLAIN


@pytest.mark.parametrize(
    ("coding", "compress"),
    [
        pytest.param("gzip", partial(gzip.compress, compresslevel=1), id="gzip"),
        pytest.param("deflate", partial(zlib.compress, level=1), id="deflate"),
        pytest.param("br", partial(brotli.compress, quality=1), id="br"),
        pytest.param("zstd", zstandard.compress, id="zstd"),
    ],
)
def test_a_decompression_bomb_is_an_error(coding: str, compress: Callable[[bytes], bytes]) -> None:
    bomb = compress(bytes(MAX_BODY_SIZE + 1))

    assert len(bomb) < MAX_BODY_SIZE / 100
    with pytest.raises(BodyError, match="has more than 16,777,216 bytes when it is unpacked"):
        decode(bomb, len(bomb), [coding])


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd"])
def test_a_body_without_its_content_coding_is_an_error(coding: str) -> None:
    with pytest.raises(BodyError, match=f"the body is not {coding}"):
        decode(b"\xff not that at all", 16, [coding])


def test_an_unknown_content_coding_is_an_error() -> None:
    with pytest.raises(BodyError, match="the content coding 'snappy' is not known: use one of gzip"):
        decode(b"x", 1, ["snappy"])


def test_reading_a_body_that_was_not_kept_is_an_error_with_its_size() -> None:
    with pytest.raises(BodyError, match="the body has 200,000,000 bytes and only 16,777,216 are kept"):
        parse_json(None, 200_000_000, [])


def test_text_is_decoded_by_its_charset() -> None:
    assert decode_text("Zoë".encode(), 4, [], "text/plain") == "Zoë"
    assert decode_text("Zoë".encode("latin-1"), 3, [], 'text/plain; charset="iso-8859-1"') == "Zoë"
    assert decode_text("\ufeffZoë".encode("utf-16"), 10, [], "text/plain") == "\ufeffZoë"
    assert decode_text("Zoë".encode("utf-16"), 8, [], "text/plain") == "Zoë"
    with pytest.raises(
        BodyError, match=r"the body is not utf-8 text \(byte 0xff at 1\): read `bytes` instead of `text`"
    ):
        decode_text(b"a\xff", 2, [], "text/plain")
    with pytest.raises(BodyError, match="the charset 'klingon' is not known"):
        decode_text(b"x", 1, [], "text/plain; charset=klingon")


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[" * 100_000, b"NaN", b"[Infinity]"])
def test_what_is_not_json_is_null(body: bytes) -> None:
    assert parse_json(body, len(body), []) is None


@pytest.mark.parametrize("number", [b"1" * 4301, b"-0." + b"1" * 4300, b"[1e" + b"1" * 4300 + b"]"])
def test_a_number_that_is_too_long_is_an_error(number: bytes) -> None:
    with pytest.raises(BodyError, match=r"a number in the JSON has 4,30\d characters, and may have 4,300"):
        parse_json(number, len(number), [])


def test_json_is_encoded_compactly_in_utf_8() -> None:
    assert encode_json({"a": ["Zoë", 1, None, True]}) == '{"a":["Zoë",1,null,true]}'.encode()
    assert encode_json("\ud800") == b'"\\ud800"'
    with pytest.raises(ValueError, match="JSON"):
        encode_json(float("nan"))


@pytest.mark.parametrize(
    ("coding", "body", "problem"),
    [
        pytest.param("gzip" + ", gzip" * 4, b"", "5 content codings, one inside the other, and may have 4", id="codings"),
        pytest.param("gzip", gzip.compress(b"") * 10_001, "more than 10,000 members", id="members"),
        pytest.param("zstd", zstandard.ZstdCompressor(compression_params=zstandard.ZstdCompressionParameters(window_log=27)).compressobj().compress(b"") + b"\x28\xb5\x2f\xfd\x00\x88\x01\x00\x00", "too much memory", id="window"),
    ],
)  # fmt: skip
def test_decoding_has_limits(coding: str, body: bytes, problem: str) -> None:
    with pytest.raises(BodyError, match=problem):
        decode(body, len(body), [coding])


def test_a_gzip_body_with_many_members_is_decoded() -> None:
    body = gzip.compress(b"ab") * 9_000

    assert decode(body, len(body), ["gzip"]) == b"ab" * 9_000


@pytest.mark.parametrize(
    "charset", ["punycode", "utf-7", "unicode_escape", "hex", "idna", "undefined", "a\0b", "x" * 9999]
)
def test_only_charsets_of_texts_are_known(charset: str) -> None:
    body = b"a" * 1_000_000  # as punycode it would take hours

    with pytest.raises(BodyError, match=r"the charset .* is not known"):
        decode_text(body, len(body), [], f"text/plain; charset={charset}")


def test_json_with_too_many_values_is_an_error_and_with_any_depth_is_not() -> None:
    body = b"[" + b"[]," * MAX_JSON_VALUES + b"[]]"

    with pytest.raises(BodyError, match="the JSON has more than 1,000,000 values"):
        parse_json(body, len(body), [])
    assert parse_json(b"[" * 900_000, 900_000, []) is None


def test_a_lone_surrogate_in_json_stays() -> None:
    value = parse_json(b'["\\ud83d\\ude00 \\ud83d",1.50]', 22, [])

    assert value == ["\U0001f600 \ud83d", 1.5]
    assert encode_json(value) == '["\U0001f600 \\ud83d",1.50]'.encode()


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


class Written(str):
    """A number of a JSON text, which is shown as it is written there."""

    __repr__ = str.__str__


@given(
    st.binary(max_size=200)
    | json_values.map(lambda value: json.dumps(value).encode())
    | json_values.map(lambda value: json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass"))
)
def test_json_has_the_value_that_pythons_decoder_gives(body: bytes) -> None:
    try:
        expected = json.loads(body, parse_int=Written, parse_float=Written, parse_constant=int)  # NaN is not JSON
    except ValueError:
        expected = None

    assert repr(parse_json(body, len(body), [])) == repr(expected)  # unlike ==, this tells 1 from 1.0 and true
