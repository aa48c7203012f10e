"""Companies that are named on the command line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from schemas.errors import Misconfigured

if TYPE_CHECKING:
    import asyncpg


async def refuse_unknown(pool: asyncpg.Pool, tenant: str) -> None:
    """Refuse a company that nobody added: what is kept for it would be of use to no one.

    Raises:
        Misconfigured: There is no such company.
        Unavailable: Postgres is down.
    """
    from sinks.tenants import Tenants
    from sinks.vault import Vault
    from streams.settings import require_secrets, settings

    require_secrets(settings(), "secrets_key")
    tenants = Tenants(pool, Vault(settings().secrets_key.get_secret_value()))
    if await tenants.get(tenant) is None:
        raise Misconfigured(f"no tenant is called {tenant}")
