"""Commands: dlq list, show, redrive, drop: what was given up, and how it goes on."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeVar

import typer

from schemas.errors import Misconfigured

if TYPE_CHECKING:
    from streams.deadletters.letters import Letter, Selection
    from streams.deadletters.redriving import Desk, Result

EXIT_UNFINISHED: Final = 1
T = TypeVar("T")

Topic = Annotated[str, typer.Option(help="Topic that the record came from.")]
Stage = Annotated[str, typer.Option(help="Stage or sink that gave it up.")]
Conversation = Annotated[str, typer.Option(help="Id of the conversation.")]
Reason = Annotated[str, typer.Option(help="Why it was given up, or its conversation parked.")]
Execute = Annotated[bool, typer.Option("--execute", help="Do it; without this it is only shown.")]
Wait = Annotated[float, typer.Option(help="Longest time without progress, in seconds.")]


def list_letters(
    topic: Topic = "",
    stage: Stage = "",
    conversation: Conversation = "",
    reason: Reason = "",
    every: Annotated[
        bool, typer.Option("--all", help="Also those that were decided or dropped since.")
    ] = False,
    gone: Annotated[
        bool,
        typer.Option("--gone", help="Also parked conversations without letters: may take long."),
    ] = False,
) -> None:
    """List dead letters, oldest first: those that wait, and those that were closed alone.

    Letters are kept for 30 days, and a conversation stays parked until somebody does something.
    """
    from streams.cli.dlqtext import COLUMNS, row, rows_without
    from streams.cli.topics import show_table
    from streams.deadletters.letters import Standing

    selection = _selection(topic, stage, conversation, reason)

    async def run(desk: Desk) -> list[tuple[str, ...]]:
        if gone or conversation:
            await _search(desk, selection)
        wanted = {
            whose: flag for whose, flag in desk.flags.items() if selection.wants(*whose, flag)
        }
        return [
            *rows_without(desk.letters, wanted),
            *(
                row(letter, desk.flags)
                for letter in _chosen(desk, selection)
                if every or letter.standing(desk.flags) is not Standing.DONE
            ),
        ]

    show_table(COLUMNS, _at_desk(run))


def show(
    letter: Annotated[str, typer.Argument(help="Where it stands, as `list` says.")] = "",
    conversation: Conversation = "",
    show_text: Annotated[
        bool, typer.Option("--show-text", help="Show what was written, and phone numbers.")
    ] = False,
    save: Annotated[Path | None, typer.Option(help="Write its exact bytes to this file.")] = None,
) -> None:
    """Show everything about one dead letter, or about all of a conversation."""
    from streams.cli.dlqtext import not_here, page
    from streams.kafka.registry import open_codec
    from streams.settings import settings
    from streams.story.details import where

    if bool(letter) == bool(conversation) or (save and not letter):
        raise Misconfigured("give either a letter, such as `topic.dlq[3]@17`, or --conversation")

    async def run(desk: Desk) -> list[str]:
        codec = await open_codec(settings())
        if letter:
            found = [each for each in desk.every if where(each.position) == letter]
        else:
            found = _chosen(desk, _selection(conversation=conversation))
        if save is not None and found:
            if not found[0].whole:
                raise Misconfigured(not_here(found[0]))
            save.write_bytes(found[0].value or b"")
        return [
            line
            for each in found
            for line in await page(each, desk.flags, codec, show_text=show_text)
        ]

    lines = _at_desk(run)
    if not lines:
        raise Misconfigured(f"there is no dead letter {letter or 'of ' + conversation}")
    for line in lines:
        typer.echo(line)


def redrive(  # noqa: PLR0913, PLR0917 - each is an option of the command
    topic: Topic = "",
    stage: Stage = "",
    conversation: Conversation = "",
    reason: Reason = "",
    alone: Annotated[
        bool, typer.Option(help="Also write letters back that parked nothing, once, in any order.")
    ] = False,
    older: Annotated[
        bool, typer.Option(help="With --alone: also what a stage gave up over 7 days ago.")
    ] = False,
    wait: Wait = 30.0,
    execute: Execute = False,
) -> None:
    """Write the events of parked conversations back, in order, until they go on."""
    selection = _selection(topic, stage, conversation, reason)

    async def run(desk: Desk) -> list[Result] | None:
        results = []
        if conversation:
            await _search(desk, selection)
        parked = _parked(desk, selection)
        for who, key in parked:
            if (who, key) not in desk.flags:  # brought back since by what was written before
                typer.echo(f"{key.decode()} goes on already")
                continue
            _announce(desk, who, key, execute=execute)
            if execute:
                results.append(await _redriven(desk, who, key, wait_s=wait))
        written = await _alone(desk, selection, older=older, execute=execute) if alone else 0
        return results if parked or written else None

    _finish(_at_desk(run), execute=execute)


def drop(
    conversation: Annotated[str, typer.Option(help="Id of the conversation.")],
    stage: Annotated[str, typer.Option(help="Stage that parked it.")] = "dispatch",
    every: Annotated[
        bool, typer.Option("--all", help="Drop everything that waits, not only the first.")
    ] = False,
    rest: Annotated[
        bool, typer.Option("--redrive", help="Then redrive what waits behind the first.")
    ] = False,
    wait: Wait = 30.0,
    execute: Execute = False,
) -> None:
    """Give up the event that a parked conversation waits for, for good; it gets an outcome."""
    from streams.deadletters.redriving import INPUTS, End, Result

    if stage not in INPUTS:
        raise Misconfigured(f"no stage is called {stage}; there are {', '.join(INPUTS)}")

    async def run(desk: Desk) -> list[Result]:
        key = conversation.encode()
        await desk.look((stage, key, await desk.partition_of(key)))
        flag = await desk.flag(stage, key)
        if flag is None:
            raise Misconfigured(f"{stage} has not parked {conversation}")
        numbers = range(flag.next, (flag.last if every else flag.next) + 1)
        _announce(desk, stage, key, execute=execute, dropped=numbers)
        if not execute:
            return []
        stop = None if rest or every else flag.next
        result = await _redriven(desk, stage, key, drop=numbers, stop_at=stop, wait_s=wait)
        done = Result(End.RESUMED, result.written, result.flag)
        return [done if result.end is End.STOPPED else result]

    _finish(_at_desk(run), execute=execute)


def _selection(
    topic: str = "", stage: str = "", conversation: str = "", reason: str = ""
) -> Selection:
    from streams.deadletters.letters import Selection

    return Selection(topic=topic, stage=stage, conversation=conversation, reason=reason)


def _at_desk(run: Callable[[Desk], Awaitable[T]]) -> T:
    from streams.deadletters.redriving import Desk
    from streams.settings import settings

    async def work() -> T:
        async with Desk(settings().kafka_bootstrap) as desk:
            await desk.look()
            return await run(desk)

    return asyncio.run(work())


def _chosen(desk: Desk, selection: Selection) -> list[Letter]:
    flags = desk.flags
    found = [letter for letter in desk.letters if selection.means(letter, flags)]
    return sorted(found, key=lambda each: (each.first_failed_ms, each.conversation, each.number))


async def _search(desk: Desk, selection: Selection) -> None:
    """Look for parked conversations also where no letter tells of them."""
    from streams.deadletters.redriving import INPUTS

    stages = [stage for stage in INPUTS if selection.stage in ("", stage)]
    if selection.conversation:
        key = selection.conversation.encode()
        partition = await desk.partition_of(key)
        await desk.look(*((stage, key, partition) for stage in stages))
    else:
        await desk.search(stages)


def _parked(desk: Desk, selection: Selection) -> list[tuple[str, bytes]]:
    """Return the parked conversations of which a waiting letter was chosen, or one by its name."""
    from streams.deadletters.letters import Standing

    flags = desk.flags
    waiting = (
        letter for letter in _chosen(desk, selection) if letter.standing(flags) is Standing.WAITING
    )
    named = (
        whose
        for whose, flag in flags.items()
        if selection.conversation and selection.wants(*whose, flag)
    )
    letters = ((letter.stage, letter.key or b"") for letter in waiting)
    return list(dict.fromkeys((*letters, *named)))


def _announce(
    desk: Desk, stage: str, key: bytes, *, execute: bool, dropped: Iterable[int] = ()
) -> None:
    from streams.cli.dlqtext import plan

    flag = desk.flags[stage, key]
    mine = [letter for letter in desk.letters if (letter.stage, letter.key) == (stage, key)]
    for line in plan(key.decode(), stage, flag, mine, frozenset(dropped)):
        typer.echo(line)
    if not execute:
        typer.echo("")


async def _redriven(desk: Desk, stage: str, key: bytes, **how: Any) -> Result:
    from streams.cli.dlqtext import ending

    result = await desk.redrive(stage, key, **how)
    typer.echo(ending(result))
    return result


async def _alone(desk: Desk, selection: Selection, *, older: bool, execute: bool) -> int:
    """Write back, once, what parked nothing; return how much."""
    from streams.clock import WallClock
    from streams.deadletters.letters import Standing
    from streams.deadletters.redriving import forgotten
    from streams.story.details import where

    chosen = [
        letter
        for letter in _chosen(desk, selection)
        if letter.standing(desk.flags) is Standing.ALONE and letter.original.offset >= 0
    ]
    now_ms = WallClock().now_ms()
    known = [letter for letter in chosen if older or not forgotten(letter, now_ms)]
    back = [letter for letter in known if letter.whole]
    for letter in back:
        typer.echo(f"alone: {where(letter.original)} ({letter.stage}: {letter.reason})")
    for letter in (letter for letter in known if not letter.whole):
        typer.echo(
            f"left out: {where(letter.original)} is too large for its letter: see `dlq show`"
        )
    if left := len(chosen) - len(known):
        typer.echo(f"left out: {left} of over 7 days ago, which --older writes back as well")
    if execute:
        await desk.publisher.start()
        await desk.publisher.publish(letter.back() for letter in back)
    return len(back)


def _finish(results: list[Result] | None, *, execute: bool) -> None:
    from streams.deadletters.redriving import End

    if results is None:
        typer.echo("nothing can be written back: `whaticket dlq list` shows what there is")
    elif not execute:
        typer.echo("Nothing was written. Run with --execute.")
    elif any(result.end is not End.RESUMED for result in results):
        raise typer.Exit(EXIT_UNFINISHED)


def register(app: typer.Typer) -> None:
    """Register the commands of this module."""
    dlq = typer.Typer(help="Dead letters and parked conversations.", no_args_is_help=True)
    dlq.command("list")(list_letters)
    dlq.command("show")(show)
    dlq.command("redrive")(redrive)
    dlq.command("drop")(drop)
    app.add_typer(dlq, name="dlq")
