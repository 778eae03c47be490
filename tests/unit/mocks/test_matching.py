"""`match`: what it matches and captures, what differs where it does not match, and errors of one that is not valid."""

import pytest

from latehook.base.hostnames import DEFAULT_PORTS, canonical_host
from latehook.base.messages import Request
from latehook.mocks import near_misses
from latehook.mocks.matching import parse
from latehook.mocks.router import PathTree
from latehook.proxy.mocked_hosts import MockedHosts


def request(method: str = "POST", url: str = "https://api.slow.example/jobs") -> Request:
    scheme, _, rest = url.partition("://")
    authority, slash, target = rest.partition("/")
    host, _, port = authority.partition(":")
    return Request(method, scheme, canonical_host(host), int(port or DEFAULT_PORTS[scheme]), slash + target)


@pytest.mark.parametrize(
    ("match", "sent", "captured"),
    [
        pytest.param("POST api.slow.example/jobs", request(), {}, id="no scheme: both"),
        pytest.param("POST api.slow.example/jobs", request(url="http://api.slow.example:8080/jobs"), {}, id="any port"),
        pytest.param("post API.slow.Example./jobs", request(), {}, id="methods and hosts without case"),
        pytest.param("ANY api.slow.example/jobs", request("PURGE"), {}, id="any method"),
        pytest.param("PUT|POST api.slow.example/jobs", request(), {}, id="one of two methods"),
        pytest.param("GET api.slow.example/jobs", request("HEAD"), {}, id="HEAD matches GET"),
        pytest.param("POST *.slow.example/jobs", request(), {}, id="a label"),
        pytest.param("POST *.example/jobs", request(), {}, id="two labels"),
        pytest.param(
            "POST api.slow.example/jobs", request(url="https://api.slow.example/jobs?a=1"), {}, id="any query"
        ),
        pytest.param(
            "POST api.slow.example/{kind}/{id}.json",
            request(url="https://api.slow.example/jobs/a.b.json"),
            {"kind": "jobs", "id": "a.b"},
            id="segments and a part of one",
        ),
        pytest.param(
            "POST api.slow.example/jobs/{id}:cancel",
            request(url="https://api.slow.example/jobs/a%2Fb:cancel"),
            {"id": "a/b"},
            id="by decoded segment",
        ),
        pytest.param(
            "POST api.slow.example/jobs/**", request(url="https://api.slow.example/jobs/a/b/"), {}, id="the rest"
        ),
        pytest.param("POST bücher.example/jobs", request(url="https://xn--bcher-kva.example/jobs"), {}, id="IDNA"),
    ],
)
def test_a_request_matches(match: str, sent: Request, captured: dict[str, str]) -> None:
    matcher = parse(match)

    assert near_misses.difference(matcher, sent) is None
    assert PathTree([(matcher, "it")]).find(sent.path) == [("it", captured)]


@pytest.mark.parametrize(
    ("match", "sent", "differs"),
    [
        pytest.param(
            "POST api.fast.example/jobs", request(), "host is api.slow.example, not api.fast.example", id="host"
        ),
        pytest.param(
            "POST *.api.slow.example/jobs", request(), "host is api.slow.example, not *.api.slow.example", id="*"
        ),
        pytest.param("POST api.slow.example:444/jobs", request(), "port is 443, not 444", id="port"),
        pytest.param("POST http://api.slow.example/jobs", request(), "scheme is https, not http", id="scheme"),
        pytest.param("PUT api.slow.example/jobs", request(), "method is POST, not PUT", id="method"),
        pytest.param("POST api.slow.example/Jobs", request(), "path is /jobs", id="paths have case"),
        pytest.param("POST api.slow.example/jobs/", request(), "path is /jobs", id="a trailing slash counts"),
        pytest.param("POST api.slow.example/jobs/**", request(), "path is /jobs", id="no rest"),
        pytest.param("POST api.slow.example/jobs/{id}", request(), "path is /jobs", id="a segment is missing"),
        pytest.param(
            "POST api.slow.example/jobs/{id}",
            request(url="https://api.slow.example/jobs/"),
            "path is /jobs/",
            id="an empty capture",
        ),
    ],
)
def test_a_request_that_does_not_match_has_a_first_difference(match: str, sent: Request, differs: str) -> None:
    matcher = parse(match)

    found = near_misses.difference(matcher, sent)
    assert found is not None
    assert found.words == differs
    if differs.startswith("path"):
        assert PathTree([(matcher, "it")]).find(sent.path) == []


@pytest.mark.parametrize(
    ("match", "says"),
    [
        ("api.slow.example/jobs", "write METHOD [scheme://]host[:port]/path"),
        ("POST api.slow.example", "has no path"),
        ("POST api.slow.example/jobs?a=1", "leave it out and use `when`"),
        ("POST ftp://api.slow.example/jobs", "has the scheme 'ftp': write http or https"),
        ("POST api.*.example/jobs", "a * replaces whole labels at the front"),
        ("POST api.slow.example:http/jobs", "has the port 'http': write a number from 1 to 65535"),
        ("POST api.slow.example:70000/jobs", "has the port '70000'"),
        ("POST api.slow.example/**/jobs", "** matches the rest of a path"),
        ("POST api.slow.example/{a}/{a}", "{a} occurs twice"),
        ("POST api.slow.example/{a-b}", "{a-b} is not a name"),
        ("POST api.slow.example/{a", "a brace that is not closed or not opened"),
    ],
)
def test_an_error_in_a_match_says_what_to_write(match: str, says: str) -> None:
    with pytest.raises(ValueError) as raised:
        parse(match)

    assert says in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_host_is_closed_on_the_ports_that_its_mocks_name() -> None:
    hosts = MockedHosts()
    hosts.add([parse("ANY localhost:9000/**"), parse("ANY *.slow.example/**")])

    assert hosts.contains("localhost", 9000)
    assert hosts.contains("LOCALHOST.", 9000)
    assert not hosts.contains("localhost", 3000)
    assert hosts.contains("a.b.slow.example", 8443)
    assert not hosts.contains("slow.example", 443)
    assert hosts.ports() == {80, 443, 9000}


def test_all_matching_paths_are_found_in_their_original_order() -> None:
    matches = ["/a/{x}", "/{y}/b", "/a/b", "/**", "/a/b/c", "/a/**", "/a/{z}.json", "/a"]
    tree = PathTree((parse(f"GET a.example{match}"), match) for match in matches)

    assert tree.find("/a/b") == [
        *[("/a/{x}", {"x": "b"}), ("/{y}/b", {"y": "a"}), ("/a/b", {}), ("/**", {}), ("/a/**", {})],
    ]
    assert [match for match, _ in tree.find("/a/b.json")] == ["/a/{x}", "/**", "/a/**", "/a/{z}.json"]
    assert [match for match, _ in tree.find("/a")] == ["/**", "/a"]
    assert [match for match, _ in tree.find("/")] == ["/**"]


def test_a_long_segment_is_matched_in_linear_time() -> None:
    matcher = parse("POST api.slow.example/{a}-{b}-{c}.json")
    tree = PathTree([(matcher, "it")])

    assert tree.find("/" + "-" * 60_000) == []  # with backtracking this would take hours
    assert tree.find("/1--2-3-4.json.json") == [("it", {"a": "1", "b": "-2", "c": "3-4.json"})]


def test_a_host_longer_than_a_name_can_be_is_still_a_subdomain() -> None:
    hosts = MockedHosts()
    hosts.add([parse("ANY *.slow.example/**")])

    assert hosts.contains("X" * 60_000 + ".Slow.example.", 443)
