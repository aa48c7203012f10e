"""What a stage asks the world while it decides one event, and what it hears (promise I8).

Rule 1: a stage decides from what is noted and from nothing else: an answer is handed on as it
reads back from its note.
Rule 2: answers are noted in the order of the questions, each with a hash of its question.
Rule 3: replay puts ``streams.replay.recalled`` in the place of ``Hearing``: the same stage is
told the same again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextvars import ContextVar
from functools import partial
from typing import Any, Final, TypeVar, cast

import msgspec

from agents.ports import Superseded, Switches, Tenants, Tool
from schemas.changing import replace
from schemas.errors import Rejected, Unavailable
from schemas.events import SettingsChanged
from streams.processor.answers import KINDS, Kind, digest

P = TypeVar("P")
T = TypeVar("T")

GIVEN_UP: Final = "given_up"
SETTINGS: Final = "tenants.get"
SUPERSEDED: Final = "superseded"
TIMEOUT: Final = "timeout"
PAUSE: Final = "pause"
NOTHING: Final = msgspec.Raw(b"null")

Question = Callable[[], Awaitable[Any]]


class Note(msgspec.Struct, array_like=True):
    """One answer.

    Attributes:
        call: What was asked, such as ``model.complete``.
        of: Hash of the question.
        gave: The answer as JSON; of an error, what it says.
        raised: ``unavailable``, ``rejected``, ``timeout`` or ``superseded`` (a newer event came
            first); empty is an answer.
    """

    call: str
    of: str = ""
    gave: msgspec.Raw = NOTHING
    raised: str = ""


class Cut(msgspec.Struct, array_like=True):
    """A call that was cut short.

    Attributes:
        number: Which one of the step.
        began: Whether it had asked anything.
        by: What cut it (``agents.ports.Superseded``).
    """

    number: int
    began: bool
    by: str = ""

    @property
    def plain(self) -> list[Any]:
        """It as it is written down; nothing more is said of a newer event."""
        return [self.number, self.began, *([self.by] if self.by else ())]


ENCODER: Final = msgspec.json.Encoder()
_NOTE: Final = msgspec.json.Decoder(Note)


def notes(heard: Iterable[str]) -> list[Note]:
    """Read what a step heard.

    Raises:
        ValueError: It is no note.
    """
    return [_NOTE.decode(each) for each in heard]


class Hearing:
    """What one step hears.

    Attributes:
        notes: The answers, in the order of the questions.
        versions: Versions of tenants' settings that were looked at; 0 is none.
    """

    __slots__ = ("calls", "notes", "pauses", "versions")

    def __init__(self) -> None:
        self.notes: list[Note] = []
        self.versions: list[int] = []
        self.calls = 0
        self.pauses = 0

    def told(self, call: str, gave: Any) -> None:
        """Note what nobody asked for."""
        self.notes.append(Note(call, gave=raw(gave)))

    def look(self, call: str, kind: Kind, read: Callable[[], Any]) -> Any:
        """Ask what is there at once."""
        note = Note(call)
        self.notes.append(note)
        note.gave = raw(kind.dump(read()))
        return kind.load(note.gave)

    async def ask(self, call: str, of: str, kind: Kind, question: Question) -> Any:
        """Ask, and note the answer."""
        note = Note(call, of, raised=TIMEOUT)  # until there is an answer
        self.notes.append(note)
        try:
            note.gave = raw(kind.dump(await question()))
            note.raised = ""
        except Unavailable as exc:
            note.raised, note.gave = "unavailable", raw([exc.service, exc.retry_after_s])
            raise
        except Rejected as exc:
            note.raised, note.gave = "rejected", raw([exc.reason, exc.detail])
            raise
        except (asyncio.CancelledError, TimeoutError):
            note.raised = TIMEOUT
            raise
        return kind.load(note.gave)

    def tenant(self, tenant_id: str, tenants: Tenants) -> SettingsChanged | None:
        """Look at the settings of a tenant; outputs name the version, so it is seldom noted."""
        found = tenants.get(tenant_id)
        self.versions.append(found.version if found else 0)
        return found

    async def pause(self, seconds: float) -> None:
        """Wait before another try."""
        self.pauses += 1
        try:
            await asyncio.sleep(seconds)
        except asyncio.CancelledError:
            self.notes.append(Note(PAUSE, gave=raw(self.pauses), raised=TIMEOUT))
            raise

    async def unless(self, cut_short: Callable[[], Awaitable[T]]) -> T:
        """Await a call that may be superseded; where it stood then is noted."""
        mark, number = len(self.notes), self.calls
        self.calls += 1
        try:
            return await cut_short()
        except Superseded as exc:
            # Copies: what was asked beside a call that failed may still come, and is not heard.
            inside = [msgspec.structs.replace(note) for note in self.notes[mark:]]
            for note in inside:
                note.raised = SUPERSEDED if note.raised == TIMEOUT else note.raised
            self.notes[mark:] = inside
            self.told(SUPERSEDED, Cut(number, bool(inside), exc.by).plain)
            raise

    def heard(self, settings_version: int) -> tuple[str, ...]:
        """Return what was heard, for a record that names the version of the settings."""
        if not self.notes and not self.versions:
            return ()
        found = list(self.notes)
        if any(version != settings_version for version in self.versions):
            found += [Note(SETTINGS, gave=raw(version)) for version in self.versions]
        return tuple(ENCODER.encode(note).decode() for note in found)


_CURRENT: ContextVar[Hearing] = ContextVar("hearing")


class listening:  # noqa: N801 - it is used as a verb
    """Let everything that is asked inside be heard here."""

    __slots__ = ("_hearing", "_token")

    def __init__(self, hearing: Hearing) -> None:
        self._hearing = hearing

    def __enter__(self) -> Hearing:
        self._token = _CURRENT.set(self._hearing)
        return self._hearing

    def __exit__(self, *_: object) -> None:
        _CURRENT.reset(self._token)


class _Overheard:
    """A port whose answers are noted; its methods are looked up once."""

    def __init__(self, name: str, port: object) -> None:
        self._name = name
        self._port = port

    def __getattr__(self, method: str) -> Any:
        call = f"{self._name}.{method}"
        kind = KINDS.get(call)
        if kind is None:
            raise AttributeError(
                f"nobody notes the answers of {call}: see streams/processor/answers.py"
            )
        read = getattr(self._port, method)
        found = partial(_look if kind.at_once else _ask, call, kind, read)
        setattr(self, method, found)
        return found


def _look(call: str, kind: Kind, read: Callable[[], Any]) -> Any:
    return _CURRENT.get().look(call, kind, read)


async def _ask(call: str, kind: Kind, method: Callable[..., Any], *given: Any, **named: Any) -> Any:
    of = digest(kind.asked(*given, **named))
    return await _CURRENT.get().ask(call, of, kind, partial(method, *given, **named))


class _Tenants:
    def __init__(self, tenants: Switches) -> None:
        self._tenants = tenants

    async def stopped(self, tenant_id: str, /) -> None:
        """It decides nothing by itself: the call that it cuts short is noted."""
        await self._tenants.stopped(tenant_id)

    def get(self, tenant_id: str, /) -> SettingsChanged | None:
        return _CURRENT.get().tenant(tenant_id, self._tenants)


def overheard(name: str, port: P) -> P:
    """Return a port whose answers are noted by the step that asks."""
    return cast(P, _Overheard(name, port))


def overheard_tenants(tenants: P) -> P:
    """Return tenants whose versions are noted by the step that looks."""
    return cast(P, _Tenants(cast(Switches, tenants)))


def overheard_tools(toolbox: Mapping[str, Tool]) -> Mapping[str, Tool]:
    """Return tools whose results are noted by the step that runs them."""
    return {
        name: replace(tool, run=partial(_ask, f"tool.{name}", KINDS["tool"], tool.run))
        for name, tool in toolbox.items()
    }


async def pause(seconds: float) -> None:
    """Wait inside a step."""
    await _CURRENT.get().pause(seconds)


def raw(value: Any) -> msgspec.Raw:
    """Return an answer as JSON."""
    return msgspec.Raw(ENCODER.encode(value))
