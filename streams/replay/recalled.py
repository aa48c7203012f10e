"""What a step heard, told again: the other half of ``streams.processor.hearing``."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from typing import Any, TypeVar, cast

import msgspec

from agents.ports import Superseded, Tenants
from schemas.errors import Rejected, Unavailable
from schemas.events import SettingsChanged
from streams.processor.answers import Kind
from streams.processor.hearing import (
    GIVEN_UP,
    PAUSE,
    SETTINGS,
    SUPERSEDED,
    Cut,
    Hearing,
    Note,
    Question,
)

T = TypeVar("T")


class Forgotten(Exception):
    """What a step was decided with is not on the log any more."""


class Unheard(Exception):
    """Replay was asked for more than the stage had asked."""


class Recalled(Hearing):
    """Tells a stage again what it heard the first time.

    Args:
        heard: The notes of the step.
        settings_version: Version of the settings that its records name.
    """

    def __init__(self, heard: Iterable[Note], settings_version: int) -> None:
        super().__init__()
        self.settings_version = settings_version
        self.answers: dict[str, deque[Note]] = {}
        for note in heard:
            self.answers.setdefault(note.call, deque()).append(note)
        cuts = (msgspec.json.decode(note.gave, type=Cut) for note in self._of(SUPERSEDED))
        self.superseded = {cut.number: cut for cut in cuts}

    @property
    def given_up(self) -> tuple[str, str] | None:
        """What the stage was asked of an event that it did not decide, and why it did not."""
        found = self._of(GIVEN_UP)
        return msgspec.json.decode(found[0].gave, type=tuple[str, str]) if found else None

    def look(self, call: str, kind: Kind, read: Callable[[], Any]) -> Any:
        """Return what was there."""
        del read
        return self._again(call, "", kind)

    async def ask(self, call: str, of: str, kind: Kind, question: Question) -> Any:
        """Return what was answered, or raise what was raised."""
        del question
        return self._again(call, of, kind)

    def tenant(self, tenant_id: str, tenants: Tenants) -> SettingsChanged | None:
        """Return the version of the settings that was looked at; ``tenants`` has every version."""
        versions = self._of(SETTINGS)
        version = msgspec.json.decode(versions.popleft().gave) if versions else None
        self.versions.append(self.settings_version if version is None else version)
        return cast(Versions, tenants).version(tenant_id, self.versions[-1])

    async def pause(self, seconds: float) -> None:
        """Wait for nothing, unless a newer event came while it waited then."""
        del seconds
        self.pauses += 1
        for note in self._of(PAUSE):
            if msgspec.json.decode(note.gave) == self.pauses:
                self.notes.append(note)
                raise Superseded

    async def unless(self, cut_short: Callable[[], Awaitable[T]]) -> T:
        """Await the call as far as it came then."""
        number, self.calls = self.calls, self.calls + 1
        cut = self.superseded.get(number)
        if cut is None:
            return await cut_short()
        if cut.began:  # it may have had its answers, but not come back with them
            with suppress(Superseded, Unavailable, Rejected):
                await cut_short()
        self.told(SUPERSEDED, cut.plain)
        raise Superseded(cut.by)

    def _of(self, call: str) -> deque[Note]:
        return self.answers.get(call, deque())

    def _again(self, call: str, of: str, kind: Kind) -> Any:
        left = self._of(call)
        if not left:
            raise Unheard(call)
        note = left.popleft()
        self.notes.append(Note(call, of, note.gave, note.raised))
        match note.raised:
            case "unavailable":
                raise Unavailable(*msgspec.json.decode(note.gave))
            case "rejected":
                raise Rejected(*msgspec.json.decode(note.gave))
            case "timeout":
                raise TimeoutError
            case "superseded":
                raise Superseded
            case _:
                return kind.load(note.gave)


class Versions:
    """Every version of every tenant's settings that is on the log."""

    def __init__(self, found: Iterable[SettingsChanged] = ()) -> None:
        self.known = {(each.tenant_id, each.version): each for each in found}

    def learn(self, settings: SettingsChanged) -> None:
        """Add one version."""
        self.known[settings.tenant_id, settings.version] = settings

    def get(self, tenant_id: str, /) -> SettingsChanged | None:
        """Return the newest version of a tenant."""
        mine = [version for tenant, version in self.known if tenant == tenant_id]
        return self.known[tenant_id, max(mine)] if mine else None

    async def stopped(self, tenant_id: str, /) -> None:
        """Never asked: where a switch cut a call short, the step says so."""
        raise Unheard(f"tenants.stopped {tenant_id}")

    def version(self, tenant_id: str, version: int) -> SettingsChanged | None:
        """Return a version; 0 is none.

        Raises:
            Forgotten: It is not on the log any more.
        """
        if version == 0:
            return None
        found = self.known.get((tenant_id, version))
        if found is None:
            raise Forgotten(f"version {version} of the settings of {tenant_id}")
        return found
