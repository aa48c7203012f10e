from __future__ import annotations

import stat
import tempfile
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import Misconfigured
from streams.local.stack import envfile
from streams.settings import Settings

NAMES = st.from_regex(r"[A-Z][A-Z0-9_]{0,20}", fullmatch=True)
VALUES = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=60)


@given(st.dictionaries(NAMES, VALUES, max_size=8))
def test_what_is_written_is_read(values: dict[str, str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "stack.env"
        envfile.write(file, values)
        assert envfile.read(file) == values


def test_only_its_owner_may_read_it(tmp_path: Path) -> None:
    file = tmp_path / "new" / "stack.env"
    envfile.write(file, {"A": "1"})
    envfile.write(file, {"A": "2"})
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_missing_file_is_empty(tmp_path: Path) -> None:
    assert envfile.read(tmp_path / "stack.env") == {}


def test_a_damaged_line_is_named_but_not_shown(tmp_path: Path) -> None:
    file = tmp_path / "stack.env"
    file.write_text("A=1\nsecret without a name\n")
    with pytest.raises(Misconfigured, match=r"stack\.env:2") as refused:
        envfile.read(file)
    assert "secret" not in str(refused.value)


def test_a_value_with_a_line_break_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="line break"):
        envfile.write(tmp_path / "stack.env", {"A": "1\nB=2"})


def test_made_secrets_are_what_the_settings_want_and_differ_each_time(tmp_path: Path) -> None:
    first, second = envfile.make_secrets(), envfile.make_secrets()
    envfile.write(tmp_path / "stack.env", first)
    read = Settings(_env_file=tmp_path / "stack.env")
    assert len(bytes.fromhex(read.hash_key.get_secret_value())) == 32
    token = Fernet(read.secrets_key.get_secret_value()).encrypt(b"x")
    assert Fernet(first["SECRETS_KEY"]).decrypt(token) == b"x"
    assert not {*first.values()} & {*second.values()}
