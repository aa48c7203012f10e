"""Commands: worker, groups."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from schemas.errors import Misconfigured
from schemas.topics import STATEFUL_STAGES
from streams.cli.stack import LayoutChoice


def register(app: typer.Typer) -> None:
    """Register the commands of this module."""
    app.command()(worker)
    groups = typer.Typer(help="Consumer groups: lag, and moving between layouts.")
    groups.command("list")(list_groups)
    groups.command("move")(move)
    groups.command("dismiss")(dismiss)
    app.add_typer(groups, name="groups")


def worker(
    stages: Annotated[
        list[str] | None,
        typer.Argument(help="One stage or sinks; none is all stages and sinks in one process."),
    ] = None,
) -> None:
    """Run stages and sinks until SIGTERM (its partitions wait for it) or SIGINT (they move on)."""
    import uvloop

    from streams.app import build_worker
    from streams.clock import open_clock
    from streams.interpreter import prepare
    from streams.logs import configure
    from streams.settings import settings
    from streams.worker import Worker

    names = stages or []
    _refuse_some(names)
    current = settings()
    configure(current.log_level, service="worker", instance=current.instance)

    async def run() -> int:
        return await Worker(
            current, lambda: build_worker(current, names), clock=open_clock(current)
        ).run()

    prepare()
    sys.exit(uvloop.run(run()))


def _refuse_some(names: list[str]) -> None:
    """Workers of one group must read the same topics, so it is all stages or one."""
    chosen = [name for name in names if name in STATEFUL_STAGES]
    if len(chosen) > 1 and set(chosen) != set(STATEFUL_STAGES):
        raise Misconfigured(
            f"a worker runs one stage or all of them ({', '.join(STATEFUL_STAGES)}):"
            f" some of them would need a consumer group of their own"
        )


def list_groups() -> None:
    """Show how far each consumer group is behind."""
    from streams.cli.topics import show_table
    from streams.kafka.groups import Groups
    from streams.settings import settings

    rows = [
        (lag.group, lag.topic, str(lag.committed), str(lag.lag))
        for lag in Groups(settings().kafka_bootstrap).lags()
    ]
    show_table(("group", "topic", "committed", "lag"), rows)


def move(
    to: Annotated[LayoutChoice, typer.Option(help="The layout whose groups get the offsets.")],
    execute: Annotated[bool, typer.Option("--execute", help="Do it; else only show it.")] = False,
    wait: Annotated[
        float, typer.Option(min=0, help="Seconds to wait until every worker has left its group.")
    ] = 0.0,
) -> None:
    """Move committed offsets to the groups of the other layout; every worker must be stopped."""
    from streams.kafka.groups import Groups
    from streams.kafka.layouts import Layout, Layouts
    from streams.settings import settings

    layouts = Layouts(Groups(settings().kafka_bootstrap))
    plan = layouts.plan(Layout(to), patience_s=wait)
    if not plan:
        typer.echo(f"Nothing to move: {to} is as far as the other layout.")
        return
    for line in plan.lines():
        typer.echo(line)
    left = ", ".join(plan.left)
    if execute:
        layouts.execute(plan)
        typer.echo(f"{len(plan.moves)} offsets moved to {to}; deleted: {left}.")
    else:
        typer.echo(
            f"{len(plan.moves)} offsets to move to {to}, then to delete: {left}."
            " Run with --execute."
        )


def dismiss(
    instances: Annotated[list[str], typer.Argument(help="INSTANCE of workers that are gone.")],
    execute: Annotated[bool, typer.Option("--execute", help="Do it; else only show it.")] = False,
) -> None:
    """Give up the places of workers that do not come back, without waiting for their sessions."""
    import asyncio

    from streams.consumer import membership
    from streams.kafka.groups import Groups
    from streams.kafka.naming import APP
    from streams.settings import settings

    bootstrap = settings().kafka_bootstrap
    groups = Groups(bootstrap)
    known = groups.instances(sorted(name for name in groups.names() if name.startswith(f"{APP}.")))
    everybody = set().union(*known.values())
    for group, names in known.items():
        if left := sorted(names & set(instances)):
            typer.echo(f"{group}: {', '.join(left)}")
            if execute:
                asyncio.run(membership.dismiss(bootstrap, group, left))
    if missing := sorted(set(instances) - everybody):
        there = ", ".join(sorted(everybody)) or "nobody"
        typer.echo(f"not in any group: {', '.join(missing)}; there: {there}")
    if not execute and everybody & set(instances):
        typer.echo("Run with --execute.")
