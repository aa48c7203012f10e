"""Commands: simulator."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from schemas.errors import Misconfigured

if TYPE_CHECKING:
    from streams.local.simulator.script import Wish


class Rules(StrEnum):
    """Which of Meta's rules are on."""

    OFF = "off"
    META = "meta"


def simulator(  # noqa: PLR0913 - one parameter for each option
    *,
    port: Annotated[int, typer.Option(help="Port to listen on.", min=0, max=65535)] = 8100,
    webhook_url: Annotated[
        str | None,
        typer.Option(help="Base URL of our webhook; the local one if not given, '' is none."),
    ] = None,
    app_id: Annotated[str, typer.Option(help="Meta app in the webhook's path.")] = "simulator",
    seed: Annotated[
        int | None, typer.Option(help="Ids of messages follow from it; a new one if not given.")
    ] = None,
    rules: Annotated[
        Rules | None,
        typer.Option(help="Meta's rates, windows and templates: off (usual) or meta."),
    ] = None,
    mps: Annotated[
        int, typer.Option(help="Messages a second of a number, in and out, by the rules.", min=1)
    ] = 80,
    misbehave: Annotated[
        str | None,
        typer.Option(help="What goes wrong, such as cut=3/200,slow=0.05; see the how-to."),
    ] = None,
    longest_retry: Annotated[
        float, typer.Option(help="Longest seconds between two deliveries of a body.", min=0.2)
    ] = 30.0,
) -> None:
    """Play WhatsApp's Cloud API, for development: accepts messages, posts signed statuses.

    Shapes are always judged. Rates, windows and templates are judged with --rules meta: off is
    the default, because a plain load sends more than one number may.
    """
    import secrets

    import uvloop

    from streams.clock import open_clock
    from streams.local.simulator.server import Options, serve
    from streams.logs import configure
    from streams.settings import require_secrets, settings

    current = settings()
    require_secrets(current, "simulator_app_secret")
    configure(current.log_level, service="simulator", instance=current.instance)
    options = Options(
        host=current.http_host,
        port=port,
        webhook_url=f"http://{current.http_host}:{current.webhook_port}"
        if webhook_url is None
        else webhook_url,
        app_id=app_id,
        secret=current.simulator_app_secret.get_secret_value().encode(),
        seed=secrets.randbits(32) if seed is None else seed,
        clock=open_clock(current),
        meta=(rules or current.simulator_rules) == Rules.META,
        mps=mps,
        wishes=_read(current.simulator_misbehaviour if misbehave is None else misbehave),
        longest_retry_s=longest_retry,
    )
    uvloop.run(serve(options))


def _read(text: str) -> tuple[Wish, ...]:
    from streams.local.simulator.script import wishes

    try:
        return tuple(wishes(text))
    except ValueError as exc:
        raise Misconfigured(f"--misbehave (SIMULATOR_MISBEHAVIOUR): {exc}") from None


def register(app: typer.Typer) -> None:
    """Register the commands of this module."""
    app.command()(simulator)
