"""Secrets that this process cannot open: an operator has to set a key, and no event is at fault."""

from __future__ import annotations

import pytest
from cryptography.fernet import Fernet

from schemas.errors import Misconfigured, Unavailable
from sinks.vault import Vault


def test_what_another_key_sealed_is_waited_for_and_says_what_to_set() -> None:
    """A bubble whose token cannot be opened was not sent: it must not end as one of which nobody
    knows whether it was."""
    sealed = Vault(Fernet.generate_key().decode()).seal("token")

    with pytest.raises(Unavailable, match="another SECRETS_KEY") as refused:
        Vault(Fernet.generate_key().decode()).unseal(sealed)

    assert isinstance(refused.value, Misconfigured), "nothing starts with it"
    assert refused.value.service == "secrets"


def test_a_key_that_was_set_beside_the_newest_opens_what_it_sealed() -> None:
    before, newest = (Fernet.generate_key().decode() for _ in range(2))

    assert Vault(f"{newest}, {before}").unseal(Vault(before).seal("token")) == "token"
