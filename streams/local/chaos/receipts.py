"""Read receipts in a run: the demo's tenant has them off, and they are to be seen under faults."""

from __future__ import annotations

from sinks.database import open_pool
from sinks.tenants import Tenants
from sinks.vault import Vault
from streams.local.demo.shop import TENANT
from streams.settings import Settings
from streams.tenancy.announce import announce_from

NAME = "whaticket.chaos"


async def switch_on(current: Settings) -> None:
    """Let customers see that their messages are read.

    Raises:
        Unavailable: Postgres, Kafka or the registry does not answer.
    """
    pool = await open_pool(current.postgres_dsn.get_secret_value(), name=NAME)
    try:
        tenants = Tenants(pool, Vault(current.secrets_key.get_secret_value()))
        await tenants.change(TENANT, {"read_receipts": True})
        await announce_from(tenants, current, client_id=NAME)
    finally:
        await pool.close()
