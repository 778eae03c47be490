"""What a mocks file's text cannot be."""

import pytest

from latehook.base.errors import MocksError
from latehook.mocksfile.loading import load_text


@pytest.mark.parametrize("text", [r'{"\ud800": 1}', r'{"mocks": [{"\udfff": 1}]}'])
def test_a_key_with_half_a_surrogate_pair_is_an_error_with_its_place(text: str) -> None:
    with pytest.raises(MocksError, match=r"^a.yaml:1: .*a key holds half a surrogate pair"):
        load_text(text, "a.yaml", {}, {})


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("%YAML 1.3\n---\nmocks: []\n", r"^a.yaml:1: this is not YAML: the YAML parser says, of some line: version"),
        (
            'mocks: []\nvars: {a: "\\UFFFFFFFF"}\n',
            r"^a.yaml:1: this is not YAML: the YAML parser says, of some line: (chr\(\)|Python int)",
        ),
        (
            f"vars: {{a: {'9' * 5000}}}\n",
            r"^a.yaml:1: vars.a: the number has 5,000 characters, and may have 4,300: put",
        ),
        (f"vars: {{a: +0.{'9' * 5000}}}\n", r"^a.yaml:1: vars.a: the number has 5,003 characters, and may have 4,300"),
    ],
)
def test_what_the_parser_itself_fails_at_is_an_error_with_its_place(text: str, error: str) -> None:
    with pytest.raises(MocksError, match=error):
        load_text(text, "a.yaml", {}, {})
