"""Secrets at rest: sealed with Fernet, opened only where they are used."""

from __future__ import annotations

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from schemas.errors import Misconfigured, Refusing


class Vault:
    """Seals and opens secrets.

    Args:
        secrets_key: Fernet keys, separated by commas; the first one seals, all of them open.
    """

    def __init__(self, secrets_key: str) -> None:
        try:
            self._keys = MultiFernet([Fernet(key.strip()) for key in secrets_key.split(",")])
        except ValueError as exc:
            raise Misconfigured(
                "SECRETS_KEY is no Fernet key: run `whaticket keys` to make one"
            ) from exc

    def seal(self, secret: str) -> bytes:
        """Return the secret as it may be stored."""
        return self._keys.encrypt(secret.encode())

    def unseal(self, sealed: bytes) -> str:
        """Return the secret.

        Raises:
            Refusing: It was sealed with another key. No event is at fault: who is at work waits
                until an operator has set it.
        """
        try:
            return self._keys.decrypt(sealed).decode()
        except InvalidToken as exc:
            raise Refusing(
                "secrets",
                "a stored secret was sealed with another SECRETS_KEY: set that key too,"
                " after a comma, or rotate the secret",
            ) from exc
