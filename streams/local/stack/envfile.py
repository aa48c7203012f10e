"""``stack.env``: addresses and made-up secrets of the stack, readable by its owner only."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from cryptography.fernet import Fernet

from schemas.errors import Misconfigured

NAME: Final = "stack.env"
_HEADER: Final = "# Written by `whaticket up`. Secrets are made once and kept; ports may change.\n"


def make_secrets() -> dict[str, str]:
    """Make every secret that the pipeline needs; nothing here is valid anywhere else."""
    return {
        "HASH_KEY": secrets.token_hex(32),
        "SECRETS_KEY": Fernet.generate_key().decode(),
        "API_TOKEN": secrets.token_urlsafe(24),
    }


def make_local_secrets() -> dict[str, str]:
    """Make the secrets of the embedded parts themselves."""
    return {
        "SIMULATOR_APP_SECRET": secrets.token_hex(16),
        "POSTGRES_PASSWORD": secrets.token_urlsafe(24),
    }


def read(path: Path) -> dict[str, str]:
    """Read the file; a missing one is empty.

    Raises:
        Misconfigured: A line is not ``NAME=value``; gives its number, not its content.
    """
    try:
        text = path.read_text()
    except FileNotFoundError:
        return {}
    values: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        name, equals, value = line.partition("=")
        if not equals or not name.isidentifier():
            raise Misconfigured(f"{path}:{number} is not NAME=value; repair or remove the line")
        values[name] = value
    return values


def write(path: Path, values: Mapping[str, str]) -> None:
    """Replace the file at once, mode 600.

    Raises:
        ValueError: A value holds a line break.
    """
    if any("\n" in value or "\r" in value for value in values.values()):
        raise ValueError("a value of stack.env holds a line break")
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".env.part")
    partial.unlink(missing_ok=True)
    handle = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w") as file:
        file.write(_HEADER)
        file.writelines(f"{name}={value}\n" for name, value in values.items())
    partial.replace(path)
