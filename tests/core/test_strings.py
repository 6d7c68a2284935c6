"""Strings as bytes behind their lengths."""

from __future__ import annotations

import pytest

from deploy_core.strings import pack_strings, string_array, unpack_strings


def test_strings_lie_behind_their_length() -> None:
    packed = pack_strings([b"ab", b"", b"c\0"])
    assert packed == b"\x02\0\0\0ab\0\0\0\0\x02\0\0\0c\0"
    assert unpack_strings(memoryview(packed)) == [b"ab", b"", b"c\0"]
    assert string_array([b"ab", b"c\0"], (2, 1)).tolist() == [[b"ab"], [b"c\0"]]


@pytest.mark.parametrize(
    ("data", "said"),
    [(b"\x03\0\0\0ab", "element 0 says 3 bytes, 2 are left"), (b"\0\0\0\0\x01", "the length of element 1")],
)
def test_what_is_cut_off_is_told(data: bytes, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        unpack_strings(data)


def test_elements_fill_the_shape() -> None:
    with pytest.raises(ValueError, match="reshape"):
        string_array([b"a"], (2,))
