"""XML bodies, read and written: lxml reads what was written, and both directions agree."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from latehook.base.errors import BodyError
from latehook.bodies.xml import MAX_XML_DEPTH, MAX_XML_MARKS, parse_xml
from latehook.bodies.xml_writing import XmlError, encode_xml

SOAP = (
    '<?xml version="1.0" encoding="UTF-8"?>\n'
    '<{0}:Envelope xmlns:{0}="http://schemas.xmlsoap.org/soap/envelope/" xmlns:{1}="urn:x">\n'
    "  <{0}:Body><{1}:Check id='7'><{1}:ReplyTo>http://app.test/?a=1&amp;b=2</{1}:ReplyTo></{1}:Check></{0}:Body>\n"
    "</{0}:Envelope>"
)


@pytest.mark.parametrize("prefixes", [("s", "urn"), ("soapenv", "x"), ("SOAP-ENV", "ns1")])
def test_soap_by_whatever_prefix(prefixes: tuple[str, str]) -> None:
    check = {"@id": "7", "ReplyTo": "http://app.test/?a=1&b=2"}

    assert parse_xml(SOAP.format(*prefixes).encode(), "") == {"Envelope": {"Body": {"Check": check}}}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("<a/>", ""),
        ("<a></a>", ""),
        ("<a> x </a>", " x "),
        ("<a>\n</a>", "\n"),
        ('<a b="1"/>', {"@b": "1"}),
        ('<a b="1"> </a>', {"@b": "1", "#text": " "}),
        ('<a b="1">x</a>', {"@b": "1", "#text": "x"}),
        ("<a><b/></a>", {"b": ""}),
        ("<a>\n <b>1</b>\n <c>2</c>\n</a>", {"b": "1", "c": "2"}),
        ("<a><b>1</b><c>x</c><b>2</b></a>", {"b": ["1", "2"], "c": "x"}),
        ("<a><b>1</b><b x='y'>2</b><b/></a>", {"b": ["1", {"@x": "y", "#text": "2"}, ""]}),
        ("<a>one <b>two</b> three</a>", {"b": "two", "#text": "one  three"}),
        ("<a><![CDATA[<b>&amp;</b>]]></a>", "<b>&amp;</b>"),
        ("<a>1<!-- a comment -->2<?pi data?>3</a>", "123"),
        ("<a>&lt;&gt;&amp;&quot;&apos;&#252;&#x1F389;</a>", "<>&\"'ü🎉"),
        ('<a xmlns="urn:x" xmlns:y="urn:y" y:b="1" c="2"/>', {"@b": "1", "@c": "2"}),
        ('<a xmlns:x="urn:x" xmlns:y="urn:y"><x:b>1</x:b><y:b>2</y:b></a>', {"b": ["1", "2"]}),
        ('<a xmlns:x="urn:x" x:id="1" id="2"/>', {"@id": ["1", "2"]}),
        ("<a>\r\nx\ry</a>", "\nx\ny"),
    ],
)
def test_each_form_of_an_element(text: str, value: Any) -> None:
    assert parse_xml(text.encode(), "") == {"a": value}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"text",
        b"{}",
        b"<a>",
        b"<a></b>",
        b"<a/><b/>",
        b"<a b=1/>",
        b"<a>&none;</a>",
        b"<a>\x00</a>",
        b"<a>\xff</a>",
    ],
)
def test_what_is_not_well_formed_is_null_as_with_json(body: bytes) -> None:
    assert parse_xml(body, "") is None


CHARSETS = ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "iso-8859-1", "windows-1252", "iso-8859-15"]


@pytest.mark.parametrize("charset", CHARSETS)
@pytest.mark.parametrize("by", ["declaration", "content type", "nothing"])
def test_each_charset(charset: str, by: str) -> None:
    declared = charset.replace("-sig", "").replace("-le", "").replace("-be", "")
    declaration = f"<?xml version='1.0' encoding='{declared}'?>" if by == "declaration" else ""
    body = f"{declaration}<a>Moré</a>".encode(charset)
    content_type = f"text/xml; charset={charset}" if by == "content type" else "text/xml"
    is_known = by != "nothing" or charset.startswith("utf")

    assert parse_xml(body, content_type) == ({"a": "Moré"} if is_known else None)


def test_the_content_type_wins_over_the_declaration_and_a_byte_order_mark_over_both() -> None:
    text = "<?xml version='1.0' encoding='utf-8'?><a>é</a>"

    assert parse_xml(text.encode("latin-1"), "text/xml; charset=iso-8859-1") == {"a": "é"}
    assert parse_xml(b"\xef\xbb\xbf" + text.encode(), "text/xml; charset=iso-8859-1") == {"a": "é"}


@pytest.mark.parametrize(
    ("body", "content_type", "problem"),
    [
        (b"<!DOCTYPE a><a/>", "", "the XML has a document type (<!DOCTYPE>), which is not read"),
        (b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>', "", "the XML has a document type"),
        (b'<!DOCTYPE a [<!ENTITY x "y"><!ENTITY z "&x;&x;">]><a>&z;</a>', "", "the XML has a document type"),
        (b"<?xml version='1.0' encoding='klingon'?><a/>", "", "the charset 'klingon' is not known"),
        (b"<a>\xff</a>", "text/xml; charset=utf-8", "the body is not utf-8 text (byte 0xff at 3)"),
        (b"<a>" * (MAX_XML_DEPTH + 1), "", "the XML has more than 200 elements, one inside the other"),
        (b"<a>" + b"<b/>" * MAX_XML_MARKS + b"</a>", "", "the XML has more than 200,000 marks"),
        (b"<a " + b'b="" ' * MAX_XML_MARKS + b"/>", "", "the XML has more than 200,000 marks"),
    ],
)
def test_what_is_refused_is_an_error_that_says_why(body: bytes, content_type: str, problem: str) -> None:
    with pytest.raises(BodyError, match=re.escape(problem)):
        parse_xml(body, content_type)


def test_the_deepest_element_is_read() -> None:
    body = b"<a>" * MAX_XML_DEPTH + b"x" + b"</a>" * MAX_XML_DEPTH

    value = parse_xml(body, "")
    for _ in range(MAX_XML_DEPTH):
        value = value["a"]
    assert value == "x"


@given(body=st.binary(max_size=200) | st.text(alphabet="<>a/ =\"'&;!?[]\n", max_size=60).map(str.encode))
def test_any_bytes_give_a_value_null_or_one_error(body: bytes) -> None:
    try:
        value = parse_xml(body, "text/xml")
    except BodyError:
        return
    assert value is None or len(value) == 1


# Written


@pytest.mark.parametrize(
    ("document", "written"),
    [
        ({"a": ""}, "<a></a>"),
        ({"a": {}}, "<a/>"),
        ({"a": 1.5}, "<a>1.5</a>"),
        ({"a": True}, "<a>true</a>"),
        ({"a": {"b": None, "@c": None}}, "<a/>"),
        ({"a": {"b": [1, None, "x"], "c": []}}, "<a><b>1</b><b>x</b></a>"),
        ({"a": {"b": "1", "@c": 2, "#text": "t"}}, '<a c="2"><b>1</b>t</a>'),
        ({"a": "<&>\"'\r\n\t"}, "<a>&lt;&amp;&gt;\"'&#13;\n\t</a>"),
        ({"a": {"@b": "<&>\"'\r\n\t"}}, '<a b="&lt;&amp;&gt;&quot;\'&#13;&#10;&#9;"/>'),
        (
            {"s:a": {"@xmlns:s": "urn:s", "s:b": {"@xmlns": "urn:d", "c": "x"}, "@s:d": "1"}},
            '<s:a xmlns:s="urn:s" s:d="1"><s:b xmlns="urn:d"><c>x</c></s:b></s:a>',
        ),
        ({"a": {"@xml:lang": "de"}}, '<a xml:lang="de"/>'),
    ],
)
def test_each_form_that_is_written(document: Any, written: str) -> None:
    encoded = encode_xml(document).decode()

    assert encoded == f'<?xml version="1.0" encoding="utf-8"?>\n{written}'
    etree.fromstring(encoded.encode())


@pytest.mark.parametrize(
    ("document", "path", "problem"),
    [
        ({}, (), "XML has one root element, and there is none"),
        ([], (), "XML has one root element, and there is none"),
        ("text", (), "XML has one root element, and there is none"),
        ({"a": 1, "b": 2}, (), "XML has one root element, and there are a, b"),
        ({"a": None}, ("a",), "'a' cannot be the root element"),
        ({"a": []}, ("a",), "'a' cannot be the root element"),
        ({"@a": ""}, ("@a",), "'@a' cannot be the root element"),
        ({"a b": ""}, ("a b",), "'a b' is not a name in XML"),
        ({"a": {"1b": ""}}, ("a", "1b"), "'1b' is not a name in XML"),
        ({"a": {"b": [{"@c d": 1}]}}, ("a", "b", 0, "@c d"), "'c d' is not a name in XML"),
        ({"a": {"#txt": "x"}}, ("a", "#txt"), "'#txt' is not a name in XML"),
        ({"s:a": ""}, ("s:a",), "the prefix 's' is not declared: write `@xmlns:s` with its namespace"),
        ({"a": {"b": {"@xmlns:s": "urn:s"}, "s:c": ""}}, ("a", "s:c"), "the prefix 's' is not declared"),
        ({"a": {"@s:b": ""}}, ("a", "@s:b"), "the prefix 's' is not declared"),
        ({"a": {"@xmlns:s": ""}}, ("a", "@xmlns:s"), "'xmlns:s' declares no namespace"),
        ({"a": {"@b": {"c": 1}}}, ("a", "@b"), "a map or a list cannot stand here"),
        ({"a": {"#text": [1]}}, ("a", "#text"), "a map or a list cannot stand here"),
        ({"a": {"b": [["c"]]}}, ("a", "b", 0), "a list of repeated elements cannot have a list in it"),
        ({"a": {"b": ["x", "y\x00"]}}, ("a", "b", 1), "XML cannot hold the character U+0000, at 1"),
        ({"a": {"@b": "\ud800"}}, ("a", "@b"), "XML cannot hold the character U+D800, at 0"),
        ({"a": "\uffff"}, ("a",), "XML cannot hold the character U+FFFF, at 0"),
    ],
)
def test_what_is_no_xml_is_an_error_at_its_place(document: Any, path: tuple[Any, ...], problem: str) -> None:
    with pytest.raises(XmlError, match=re.escape(problem)) as raised:
        encode_xml(document)

    assert raised.value.path == path


def test_a_charset_without_a_character_gets_a_reference() -> None:
    encoded = encode_xml({"a": {"@b": "ü🎉", "#text": "é"}}, "iso-8859-1")

    assert encoded == b'<?xml version="1.0" encoding="iso-8859-1"?>\n<a b="\xfc&#127881;">\xe9</a>'
    assert parse_xml(encoded, "") == {"a": {"@b": "ü🎉", "#text": "é"}}
    with pytest.raises(BodyError, match=r"iso-8859-1 has no U\+0416"):
        encode_xml({"Ж": ""}, "iso-8859-1")


TEXTS = st.text(
    st.characters(codec="utf-8", exclude_characters="\ufffe\uffff", exclude_categories=["Cc", "Cs"])
    | st.sampled_from("\t\n\r")
)
NAMES = st.from_regex(r"[A-Za-zü_][A-Za-z0-9_.ü-]{0,5}", fullmatch=True).filter(lambda name: name != "xmlns")


def _element(children: Any) -> Any:
    attributes = st.dictionaries(NAMES.map(lambda name: f"@{name}"), TEXTS, max_size=2)
    inner = st.dictionaries(NAMES, children | st.lists(children, min_size=2, max_size=3), max_size=3)
    with_text = st.tuples(attributes, TEXTS.filter(bool)).map(lambda pair: {**pair[0], "#text": pair[1]})
    return st.tuples(attributes, inner).map(lambda pair: {**pair[0], **pair[1]}) | with_text.filter(
        lambda m: len(m) > 1
    )


ELEMENTS = st.recursive(TEXTS, _element, max_leaves=8).map(lambda value: "" if value == {} else value)


def _without_empty_maps(value: Any) -> Any:
    """Return a document as it is read: an element without anything in it is an empty text."""
    if isinstance(value, dict):
        return {key: _without_empty_maps(item) for key, item in value.items()} or ""
    return [_without_empty_maps(item) for item in value] if isinstance(value, list) else value


@given(name=NAMES, element=ELEMENTS, charset=st.sampled_from(["utf-8", "utf-16", "iso-8859-1", "windows-1252"]))
def test_what_is_written_is_read_back(name: str, element: Any, charset: str) -> None:
    document = {name: element}

    encoded = encode_xml(document, charset)

    assert parse_xml(encoded, f"application/xml; charset={charset}") == _without_empty_maps(document)
    assert etree.fromstring(encoded, etree.XMLParser(resolve_entities=False)).tag == name
