from __future__ import annotations

from pathlib import Path

import pytest

from schemas.errors import Misconfigured
from streams.cli import tenants
from streams.cli.files import text_of


@pytest.mark.parametrize("written", ["olá\n".encode(), b"\xef\xbb\xbf" + "olá\n".encode()])
def test_a_file_says_what_is_in_it_without_the_mark_of_its_editor(
    tmp_path: Path, written: bytes
) -> None:
    file = tmp_path / "prompt.txt"
    file.write_bytes(written)

    assert text_of(file, "the prompt") == "olá\n"
    assert tenants._settings(None, file) == {"prompt": "olá\n"}
    assert tenants._secret(str(file), "access token") == "olá"


def test_a_file_in_another_encoding_is_told(tmp_path: Path) -> None:
    file = tmp_path / "token.txt"
    file.write_text("token", "utf-16")

    with pytest.raises(Misconfigured, match="the file of the access token is no text in UTF-8"):
        tenants._secret(str(file), "access token")


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="cannot read the prompt: No such file"):
        tenants._settings(None, tmp_path / "none.txt")
