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
    from streams.local.stack.hold import holder
    from streams.local.stack.stack import LOCK
    from streams.settings import environment, home

    setting = ADDRESSES.get(exc.service, "")
    if setting in environment():
        return f"; {setting} in the environment says where it is"
    folder = home()
    if holder(folder / LOCK):
        return f"; `whaticket status` shows what runs in {folder}"
    other = f", or set {setting}" if setting else ""
    return f"; no stack is up in {folder}: `whaticket up` starts one{other}"
