"""Commands: api, feed."""

from __future__ import annotations

from datetime import timedelta

import typer


def api() -> None:
    """Serve people: the REST API and the helpdesk's live feed."""
    import uvloop

    from streams.api.serve import serve
    from streams.logs import configure
    from streams.settings import settings

    current = settings()
    configure(current.log_level, service="api", instance=current.instance)
    uvloop.run(serve(current, typer.echo))


def token(
    company: int = typer.Option(help="Number of the company: `whaticket tenant list`."),
    user: str = typer.Option("1", help="Id of the person in the helpdesk."),
    admin: bool = typer.Option(
        True, help="See every ticket, or only those that wait and own ones."
    ),
    days: int = typer.Option(7, min=1, max=365, help="How long it is valid."),
) -> None:
    """Print a token that lets a console watch a company's tickets."""
    from streams.api.tokens import Watcher, mint, signing_key
    from streams.clock import WallClock
    from streams.settings import require_secrets, settings

    current = settings()
    if not current.feed_secret.get_secret_value():
        require_secrets(current, "api_token")
    expires_at_s = WallClock().now_ms() // 1000 + int(timedelta(days=days).total_seconds())
    watcher = Watcher(user=user, company=company, admin=admin)
    typer.echo(mint(watcher, signing_key(current), expires_at_s=expires_at_s))


def register(app: typer.Typer) -> None:
    """Register the commands of this module."""
    app.command("api")(api)
    feed = typer.Typer(help="The helpdesk's live feed (Socket.IO).", no_args_is_help=True)
    feed.command("token")(token)
    app.add_typer(feed, name="feed")
