"""Commands: replay."""

from __future__ import annotations

from typing import Annotated, Final

import typer

from schemas.errors import Misconfigured
from schemas.topics import STATEFUL_STAGES

EXIT_DIFFERENT: Final = 1
UNITS_MS: Final = {"m": 60_000, "h": 3_600_000, "d": 86_400_000}


def register(app: typer.Typer) -> None:
    """Register the commands of this module."""
    app.command()(replay)


def replay(
    conversation: Annotated[str, typer.Option(help="Only this conversation.")] = "",
    stage: Annotated[str, typer.Option(help="Only dispatch, ai, tools or outbound.")] = "",
    since: Annotated[
        str, typer.Option(help="Judge only steps since: 30m, 12h, 7d, or 2026-03-01T12:00:00Z.")
    ] = "",
    check: Annotated[
        bool, typer.Option("--check", help="Exit 1 when a decision would be different.")
    ] = False,
    show_text: Annotated[
        bool, typer.Option("--show-text", help="Show what was written where it differs.")
    ] = False,
) -> None:
    """Decide again what is on the topics, and say what would be different; changes nothing.

    Every step of every stage is decided from what was recorded: its event, the time, the
    settings, and what the model, tools and WhatsApp answered then. With the release that
    decided, everything is the same byte for byte; with another one, the differences are what
    that release would do differently.
    """
    import asyncio

    from streams.clock import WallClock
    from streams.logs import configure
    from streams.replay.report import lines
    from streams.replay.whole import Wanted, replay
    from streams.settings import settings
    from streams.story.tracing import NotOnTheLog

    configure("error", service="replay")
    if stage and stage not in STATEFUL_STAGES:
        raise Misconfigured(f"--stage is one of {', '.join(STATEFUL_STAGES)}, not {stage}")
    wanted = Wanted(
        conversation_id=conversation,
        stage=stage,
        since_ms=since_ms(since, WallClock().now_ms()) if since else 0,
        show_text=show_text,
    )
    result = asyncio.run(replay(settings(), wanted, lambda line: typer.echo(line, err=True)))
    if conversation and not result.records:
        raise NotOnTheLog(f"nothing is on the topics of {conversation}")
    for line in lines(result):
        typer.echo(line)
    unseen = not result.verdicts and result.unreadable
    if check and (unseen or any(verdict.difference for verdict in result.verdicts)):
        raise typer.Exit(EXIT_DIFFERENT)


def since_ms(text: str, now_ms: int) -> int:
    """Return the time that an option names, Unix milliseconds.

    Raises:
        Misconfigured: It names none.
    """
    from datetime import datetime

    if text[-1:] in UNITS_MS and text[:-1].isdecimal():
        return now_ms - int(text[:-1]) * UNITS_MS[text[-1]]
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise Misconfigured(
            f"--since takes 30m, 12h, 7d or a time such as 2026-03-01T12:00:00Z, not {text}"
        ) from None
    if moment.tzinfo is None:
        raise Misconfigured(f"--since needs a time zone: {text}Z is UTC")
    return round(moment.timestamp() * 1000)
