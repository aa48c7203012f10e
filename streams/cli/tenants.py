"""Commands: migrate, tenant, channel, app."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import typer

from schemas.errors import Misconfigured
from streams.cli.files import text_of
from streams.cli.published import WAIT, asked, changed, published

if TYPE_CHECKING:
    from sinks.tenants import Tenants

STDIN: Final = "-"
SETTINGS: Final = typer.Argument(None, help="name=value, such as ai_enabled=false.")
PROMPT_FILE: Final = typer.Option(None, help="What the AI should know about the business.")


def migrate() -> None:
    """Bring the database's tables up to date."""
    from sinks.database import open_pool
    from sinks.migrations import migrate as apply
    from streams.settings import settings

    async def run() -> tuple[str, ...]:
        pool = await open_pool(settings().postgres_dsn.get_secret_value())
        try:
            return await apply(pool)
        finally:
            await pool.close()

    applied = asyncio.run(run())
    typer.echo("\n".join(applied) if applied else "nothing to do")


def add(
    tenant: str = typer.Argument(help="Id of the company; never changes."),
    settings: list[str] = SETTINGS,
    prompt_file: Path = PROMPT_FILE,
    wait: float = WAIT,
) -> None:
    """Add a company and publish its settings."""
    given = _settings(settings, prompt_file)
    changed(lambda tenants: tenants.add(tenant, given), wait)


def change(
    tenant: str = typer.Argument(help="Id of the company."),
    settings: list[str] = SETTINGS,
    prompt_file: Path = PROMPT_FILE,
    wait: float = WAIT,
) -> None:
    """Change settings of a company and publish them; the others stay."""
    given = _settings(settings, prompt_file)
    changed(lambda tenants: tenants.change(tenant, given), wait)


def show(tenant: str = typer.Argument(help="Id of the company.")) -> None:
    """Print a company's settings as they are published."""
    import msgspec

    found = asked(lambda tenants: tenants.get(tenant))
    if found is None:
        raise Misconfigured(f"no tenant is called {tenant}")
    typer.echo(msgspec.json.format(msgspec.json.encode(found)).decode())


def tenants_list() -> None:
    """List the companies."""
    for each in asked(lambda tenants: tenants.all()):
        ai = "ai" if each.ai_enabled else "people only"
        numbers = len(each.channels)
        typer.echo(f"{each.tenant_id}\t{each.company}\tv{each.version}\t{numbers} numbers\t{ai}")


def publish(
    tenant: str | None = typer.Argument(
        None, help="Publish this company again, whatever is known."
    ),
    everyone: bool = typer.Option(False, "--all", help="Publish every company again."),
    wait: float = WAIT,
) -> None:
    """Publish settings that are stored but not surely on the log."""

    async def forget(tenants: Tenants) -> None:
        if tenant is not None and await tenants.get(tenant) is None:
            raise Misconfigured(f"no tenant is called {tenant}")
        if tenant is not None or everyone:
            await tenants.republish(tenant)

    published(forget, wait)


def channel_add(
    phone_number_id: str = typer.Argument(help="WhatsApp's id of the business number."),
    tenant: str = typer.Option(help="The company."),
    app: str = typer.Option(help="The Meta app that signs its webhooks."),
    token_file: str = typer.Option(None, help="File of the access token; - is stdin."),
    wait: float = WAIT,
) -> None:
    """Give a company a business number."""
    token = _secret(token_file, "access token")
    changed(
        lambda tenants: tenants.add_channel(tenant, phone_number_id, app_id=app, token=token), wait
    )


def channel_rotate(
    phone_number_id: str = typer.Argument(help="WhatsApp's id of the business number."),
    token_file: str = typer.Option(None, help="File of the access token; - is stdin."),
    wait: float = WAIT,
) -> None:
    """Replace the access token of a business number; workers use it at once."""
    token = _secret(token_file, "access token")
    changed(lambda tenants: tenants.rotate_channel(phone_number_id, token=token), wait)


def channel_switch(
    phone_number_id: str = typer.Argument(help="WhatsApp's id of the business number."),
    active: bool = typer.Option(..., "--on/--off", help="Whether it may send."),
    wait: float = WAIT,
) -> None:
    """Let a business number send, or stop it."""
    changed(lambda tenants: tenants.activate_channel(phone_number_id, active=active), wait)


def channel_limit(
    phone_number_id: str = typer.Argument(help="WhatsApp's id of the business number."),
    messages_per_second: int = typer.Argument(
        min=0, help="What WhatsApp lets it carry, in and out: 80, 20 or 1000; 0 is no limit."
    ),
    wait: float = WAIT,
) -> None:
    """Say how many messages a second WhatsApp lets a business number carry."""
    changed(
        lambda tenants: tenants.limit_channel(
            phone_number_id, messages_per_second=messages_per_second
        ),
        wait,
    )


def channel_list() -> None:
    """List the business numbers; no token is shown."""
    for each in asked(lambda tenants: tenants.all()):
        for channel in each.channels:
            state = "on" if channel.active else "off"
            typer.echo(
                f"{channel.phone_number_id}\t{each.tenant_id}\t{channel.app_id}"
                f"\ttoken v{channel.token_version}\t{state}"
            )


def app_add(
    app: str = typer.Argument(help="Id of the Meta app."),
    secret_file: str = typer.Option(None, help="File of the app secret; - is stdin."),
    verify_token_file: str = typer.Option(None, help="File of the verify token; - is stdin."),
) -> None:
    """Add a Meta app: webhooks that it signs are accepted."""
    secret = _secret(secret_file, "app secret")
    verify_token = _secret(verify_token_file, "verify token")
    asked(lambda t: t.add_app(app, verify_token=verify_token, secret=secret))
    typer.echo(f"app {app} added")


def app_rotate(
    app: str = typer.Argument(help="Id of the Meta app."),
    secret_file: str = typer.Option(None, help="File of the app secret; - is stdin."),
) -> None:
    """Replace an app's secret; the one before stays valid until the next rotation."""
    secret = _secret(secret_file, "app secret")
    asked(lambda tenants: tenants.rotate_app(app, secret=secret))
    typer.echo(f"app {app} has a new secret; every webhook process knows it within a minute")


def app_list() -> None:
    """List the Meta apps; no secret is shown."""
    for app in asked(lambda tenants: tenants.apps()):
        typer.echo(app)


def _secret(file: str | None, what: str) -> str:
    """Return a secret from a file, from stdin or typed; never from the command line."""
    if file is None and sys.stdin.isatty():
        found = typer.prompt(what, hide_input=True)
    elif file is None or file == STDIN:
        found = sys.stdin.readline()
    else:
        found = text_of(Path(file), f"the file of the {what}")
    if not found.strip():
        raise Misconfigured(f"the {what} is empty: give it in a file, on stdin, or type it")
    return str(found).strip()


def _settings(given: Sequence[str] | None, prompt_file: Path | None) -> dict[str, Any]:
    """Return name=value pairs as settings: values are JSON, or else words."""
    import msgspec

    found: dict[str, Any] = {}
    for pair in given or ():
        name, equals, value = pair.partition("=")
        if not equals:
            raise Misconfigured(f"write settings as name=value, not {pair}")
        try:
            found[name] = msgspec.json.decode(value)
        except msgspec.DecodeError:
            found[name] = value
    if prompt_file is not None:
        found["prompt"] = text_of(prompt_file, "the prompt")
    return found


def register(app: typer.Typer) -> None:
    """Register the commands of this module."""
    app.command()(migrate)
    groups: dict[str, tuple[str, dict[str, Callable[..., None]]]] = {
        "tenant": (
            "Companies and their settings.",
            {"add": add, "list": tenants_list, "show": show, "set": change, "publish": publish},
        ),
        "channel": (
            "Business numbers and their access tokens.",
            {
                "add": channel_add,
                "list": channel_list,
                "rotate": channel_rotate,
                "switch": channel_switch,
                "limit": channel_limit,
            },
        ),
        "app": (
            "Meta apps and their secrets.",
            {"add": app_add, "list": app_list, "rotate": app_rotate},
        ),
    }
    for name, (doc, commands) in groups.items():
        group = typer.Typer(help=doc, no_args_is_help=True)
        for command, function in commands.items():
            group.command(command)(function)
        app.add_typer(group, name=name)
