"""What a person can do when a part that a command needs does not answer."""

from __future__ import annotations

from typing import Final

from schemas.errors import Unavailable

ADDRESSES: Final = {
    "kafka": "KAFKA_BOOTSTRAP",
    "registry": "SCHEMA_REGISTRY_URL",
    "postgres": "POSTGRES_DSN",
    "redis": "REDIS_URL",
    "model": "OPENAI_BASE_URL",
    "whatsapp": "WHATSAPP_API_URL",
}
"""The setting that says where a dependency is."""


def advice(exc: Unavailable) -> str:
    """Return what to do about it, as the end of a sentence; never an address, which has secrets."""
    from streams.settings import environment

    setting = ADDRESSES.get(exc.service, "")
    if setting in environment():
        return f"; {setting} in the environment says where it is"
    return of_the_stack(f", or set {setting}" if setting else "")


def of_the_stack(other: str) -> str:
    """Return what to do where the folder's stack should answer.

    Args:
        other: What may be done instead of starting it.
    """
    from streams.local.stack.hold import holder, starting
    from streams.local.stack.stack import LOCK
    from streams.settings import home

    folder = home()
    if starting(folder / LOCK):
        return f"; the stack in {folder} is starting, `whaticket status` shows how far it is"
    if holder(folder / LOCK):
        return f"; `whaticket status` shows what runs in {folder}"
    return f"; no stack is up in {folder}: `whaticket up` starts one{other}"
