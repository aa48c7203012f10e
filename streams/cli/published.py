"""Changes what is stored of companies, publishes it, and waits until every process uses it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final, NoReturn, TypeVar

import typer

from schemas.errors import Misconfigured, Unavailable

if TYPE_CHECKING:
    import asyncpg

    from schemas.events import SettingsChanged
    from sinks.tenants import Tenants

T = TypeVar("T")

EXIT_UNCONFIRMED: Final = 3
"""The change is on the log, but not every live process is known to use it."""

WAIT_S: Final = 30.0
WAIT: Final = typer.Option(
    WAIT_S,
    "--wait",
    min=0,
    help="Seconds until every live process must use it, else exit status 3; 0 does not wait.",
)


def asked(ask: Callable[[Tenants], Awaitable[T]]) -> T:
    """Return what is stored of companies."""

    async def run(tenants: Tenants, _: asyncpg.Pool) -> T:
        return await ask(tenants)

    return _with_tenants(run)


def changed(change: Callable[[Tenants], Awaitable[SettingsChanged]], wait_s: float) -> None:
    """Change a company's settings; return when every live process uses them."""

    async def run(tenants: Tenants, pool: asyncpg.Pool) -> None:
        settings = await change(tenants)
        await _announced(tenants)
        typer.echo(f"{settings.tenant_id} is at version {settings.version}, published")
        await _confirmed(pool, wait_s)

    _with_tenants(run)


def published(forget: Callable[[Tenants], Awaitable[None]], wait_s: float) -> None:
    """Publish what is not surely on the log; return when every live process uses it."""

    async def run(tenants: Tenants, pool: asyncpg.Pool) -> None:
        await forget(tenants)
        typer.echo(f"published {len(await _announced(tenants))}")
        await _confirmed(pool, wait_s)

    _with_tenants(run)


def _with_tenants(run: Callable[[Tenants, asyncpg.Pool], Awaitable[T]]) -> T:
    from sinks.database import open_pool
    from sinks.tenants import Tenants
    from sinks.vault import Vault
    from streams.settings import require_secrets, settings

    current = settings()
    require_secrets(current, "secrets_key")

    async def opened() -> T:
        pool = await open_pool(current.postgres_dsn.get_secret_value(), name="whaticket.cli")
        try:
            return await run(Tenants(pool, Vault(current.secrets_key.get_secret_value())), pool)
        finally:
            await pool.close()

    return asyncio.run(opened())


async def _announced(tenants: Tenants) -> tuple[SettingsChanged, ...]:
    from streams.settings import settings
    from streams.tenancy.announce import announce_from

    try:
        return await announce_from(tenants, settings(), client_id="whaticket.cli")
    except (Unavailable, Misconfigured) as exc:
        raise Misconfigured(
            f"stored, but not published ({exc}): run `whaticket tenant publish` later"
        ) from exc


async def _confirmed(pool: asyncpg.Pool, wait_s: float) -> None:
    """Wait until every live process has applied everything up to the present end of the topic.

    The end, and not what was just published: another command may have published our change.
    """
    from sinks.processes import Processes
    from streams.tenancy.applied import applied

    if not wait_s:
        return
    try:
        end = await end_of_settings()
        found = await applied(Processes(pool), end, deadline_s=wait_s)
    except (Unavailable, Misconfigured) as exc:
        _unconfirmed(f"published, but who uses it is not known: {exc}")
    if found.late:
        behind = "; ".join(
            f"{each.process} (applied {each.settings_offset} of {end},"
            f" silent {each.silent_s:.0f} s)"
            for each in found.late
        )
        _unconfirmed(
            f"published, but {len(found.late)} of {len(found.live)} live processes did not report"
            f" within {wait_s:g} s that they use it: {behind}"
        )
    count = len(found.live)
    typer.echo(
        f"in use by {count} of {count} live processes" if count else "no process is live to use it"
    )


async def end_of_settings() -> int:
    """Return the end of ``tenant.settings.changed``.

    Raises:
        Unavailable: No broker answers.
        Misconfigured: The topic does not exist.
    """
    from schemas.codec import Codec
    from schemas.topics import SETTINGS_CHANGED
    from streams.kafka.reading import Reading
    from streams.settings import settings

    reading = Reading(settings().kafka_bootstrap, Codec.offline(), client_id="whaticket.cli")
    return sum((await reading.ends((SETTINGS_CHANGED.name,))).values())


def _unconfirmed(said: str) -> NoReturn:
    typer.echo(f"whaticket: {said}", err=True)
    raise typer.Exit(EXIT_UNCONFIRMED)
