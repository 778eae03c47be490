"""What a mocks file's text cannot be."""

import pytest

from latehook.base.errors import MocksError
from latehook.mocksfile.loading import load_text


@pytest.mark.parametrize("text", [r'{"\ud800": 1}', r'{"mocks": [{"\udfff": 1}]}'])
def test_a_key_with_half_a_surrogate_pair_is_an_error_with_its_place(text: str) -> None:
    with pytest.raises(MocksError, match=r"^a.yaml:1: .*a key holds half a surrogate pair"):
        load_text(text, "a.yaml", {}, {})
