"""Dead letters and redrives in words. What a person wrote is shown only when it is asked for."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Iterator
from datetime import UTC, datetime
from typing import Final

from schemas.codec import Codec
from schemas.errors import Rejected
from streams.deadletters.letters import Flags, Letter, Standing, waiting
from streams.deadletters.redriving import End, Result
from streams.state.parking import PREFIX, Parking
from streams.story.details import where
from streams.story.telling import tell

COLUMNS: Final = (
    "stage",
    "conversation",
    "number",
    "standing",
    "reason",
    "attempts",
    "since",
    "letter",
)

HASH_DIGITS: Final = 12


def row(letter: Letter, flags: Flags) -> tuple[str, ...]:
    """Return a letter as a row of ``COLUMNS``."""
    return (
        letter.stage or "-",
        letter.conversation or "-",
        str(letter.number or "-"),
        letter.standing(flags),
        letter.reason,
        str(letter.attempts),
        moment(letter.first_failed_ms),
        where(letter.position),
    )


def rows_without(letters: Iterable[Letter], flags: Flags) -> Iterator[tuple[str, ...]]:
    """Yield a row for each parked conversation whose next letter is not among these.

    They are kept for 30 days, and a conversation stays parked until somebody does something.
    """
    here = {(each.stage, each.key, each.parking_id, each.number) for each in letters}
    for (stage, key), flag in flags.items():
        if (stage, key, flag.parking_id, flag.next) not in here:
            who, since = key.decode(errors="replace"), moment(flag.since_ms)
            waits = (str(flag.next), Standing.WAITING, flag.reason, "-", since, "gone")
            yield (stage, who, *waits)


async def page(letter: Letter, flags: Flags, codec: Codec, *, show_text: bool) -> list[str]:
    """Return everything about a letter, a line for each fact.

    Raises:
        Unavailable: The registry does not answer.
    """
    said = f"{letter.reason}: {letter.detail}" if letter.detail else letter.reason
    facts = [
        ("conversation", letter.conversation or "none: the record has no key"),
        ("given up by", f"{letter.stage} (group {letter.group})"),
        ("reason", said),
        ("attempts", str(letter.attempts)),
        ("since", moment(letter.first_failed_ms)),
        ("standing", _standing(letter, flags)),
        ("first stood at", where(letter.original)),
        ("record's time", moment(letter.original_ms)),
        ("trace", letter.trace_id or "none"),
        ("value", _size(letter) if letter.whole else not_here(letter)),
        *(
            (f"header {name}", value.decode(errors="replace"))
            for name, value in letter.headers
            if not name.startswith(PREFIX)
        ),
        *await _decoded(letter, codec, show_text=show_text),
    ]
    return [f"dead letter {where(letter.position)}", *(f"  {n:<22} {v}" for n, v in facts), ""]


async def _decoded(letter: Letter, codec: Codec, *, show_text: bool) -> list[tuple[str, str]]:
    """Return what the record says, when it is here and can be read."""
    if not letter.whole:
        return []
    try:
        event = await codec.read(letter.value)
    except Rejected as exc:
        return [("it says", f"cannot be read: {exc.reason}")]
    told = tell(event)
    return [
        ("it says", told.what),
        *((f"  {each.name}", each.shown(show_text=show_text)) for each in told.details),
    ]


def _size(letter: Letter) -> str:
    if letter.value is None:
        return "null"
    digest = hashlib.sha256(letter.value).hexdigest()[:HASH_DIGITS]
    return f"{len(letter.value)} bytes, sha256 {digest}…; --save FILE writes them"


def not_here(letter: Letter) -> str:
    """Say where a record is that its letter has no room for."""
    return (
        f"{letter.left_out} bytes, not in the letter, which has no room for them:"
        f" the record is at {where(letter.original)} until retention takes it"
    )


def _standing(letter: Letter, flags: Flags) -> str:
    standing = letter.standing(flags)
    flag = flags.get((letter.stage, letter.key or b""))
    if standing is Standing.ALONE:
        return "alone: whoever waited for it was told at once; nothing waits behind it"
    if standing is Standing.DONE or flag is None:
        return f"done: number {letter.number} was decided or dropped"
    turn = "the next one" if letter.number == flag.next else f"{flag.next} is the next one"
    return f"waiting: number {letter.number} of {flag.last}, {turn} (parked: {flag.reason})"


def plan(
    conversation: str,
    stage: str,
    flag: Parking,
    letters: Iterable[Letter],
    dropped: Collection[int] = (),
) -> Iterator[str]:
    """Yield what a redrive writes for a parked conversation."""
    queue = waiting(letters, flag)
    yield (
        f"{conversation} is parked by {stage} since {moment(flag.since_ms)} ({flag.reason}):"
        f" numbers {flag.next} to {flag.last} wait"
    )
    for number in range(flag.next, flag.last + 1):
        letter = queue.get(number)
        act = "drop" if number in dropped else "back"
        place = where(letter.original) if letter is not None else "its letter is gone"
        if letter is not None and not letter.whole:
            place += ", too large for its letter"
            act = act if number in dropped else "left"
        yield f"  {number:>4} {act}  {place}"


def ending(result: Result) -> str:
    """Return how a redrive ended, and what to do next."""
    wrote = f"{result.written} written"
    flag = result.flag
    if flag is None:
        return f"  {wrote}; everything was decided, the conversation goes on"
    left = f"numbers {flag.next} to {flag.last} wait"
    said = {
        End.RESUMED: left,
        End.STOPPED: left,
        End.AGAIN: "everything was decided, and another event has parked it since"
        f" ({flag.reason}); {left}",
        End.FAILED: f"number {flag.next} failed again ({flag.reason}); {left}",
        End.LOST: f"the letter of number {flag.next} is gone: only `dlq drop` helps; {left}",
        End.TOO_LARGE: f"number {flag.next} is not in its letter, which has no room for it, and an"
        f" empty record would be another one: only `dlq drop` helps; {left}",
        End.UNHEARD: "no worker took them yet; they are on their topics, and it is safe to run"
        f" this again; {left}",
    }
    return f"  {wrote}; {said[result.end]}"


def moment(at_ms: int) -> str:
    """Return a time in UTC, to the second."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="seconds")
