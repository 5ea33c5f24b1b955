"""A token in a file, or a clear word."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.errors import Permanent
from core.token_file import read_token


def test_the_word_in_the_file_is_the_token_as_it_is_now(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("  abc\n")
    assert read_token("x", file) == "abc"
    file.write_text("def")
    assert read_token("x", str(file)) == "def"


@pytest.mark.parametrize("content", [b"", b" \n", b"two words", b"\xff\xfe", "tökän".encode()])
def test_anything_else_names_the_setting_and_the_file_and_not_what_it_holds(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "secret"
    file.write_bytes(content)
    with pytest.raises(Permanent) as error:
        read_token("x", file, setting="token_file")
    assert f"token_file {file}" in str(error.value)
    assert not [word for word in ("two", "tök") if word in str(error.value)]


def test_a_missing_file_says_so(tmp_path: Path) -> None:
    with pytest.raises(Permanent, match="cannot be read: FileNotFoundError"):
        read_token("x", tmp_path / "none")
