"""What an agent sees of the log: one delivery, the tenants, the clock."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Final, Protocol, TypeVar

from schemas.events import Event, Position, SettingsChanged

T = TypeVar("T")
S = TypeVar("S", bound="State")


SWITCHED_OFF: Final = "switched_off"


class Superseded(Exception):
    """The running call became pointless.

    Args:
        by: ``switched_off``: the tenant stopped its AI; empty: a newer event of the same
            conversation.
    """

    def __init__(self, by: str = "") -> None:
        super().__init__(by)
        self.by = by


class Delivery(Protocol):
    """One event's delivery to an agent, as the loop sees it."""

    @property
    def source(self) -> Position:
        """Where the event stands in the log."""

    @property
    def now_ms(self) -> int:
        """Time of the decision, Unix milliseconds; taken once, recorded in the cause."""

    async def unless(
        self,
        newer: Callable[[Event], bool],
        call: Awaitable[T],
        /,
        *,
        stopped: Callable[[], Awaitable[None]] | None = None,
    ) -> T:
        """Await the call; cancel it and raise Superseded when a newer matching event waits.

        The same when ``stopped`` returns first: the tenant's kill switch.
        """


class Tenants(Protocol):
    """Newest known settings of each tenant; a snapshot in memory."""

    def get(self, tenant_id: str, /) -> SettingsChanged | None:
        """Return the settings of a tenant, or None when it is not known."""


class Switches(Tenants, Protocol):
    """Tenants whose kill switch can be waited for."""

    async def stopped(self, tenant_id: str, /) -> None:
        """Return as soon as the tenant's AI is switched off, or the tenant is not known."""


class Archive(Protocol):
    """Where natural ids are kept that a conversation's state has no room for.

    Ids are packed (``agents.core.seen``); they are kept for as long as one may come again.
    """

    async def keep(self, conversation_id: str, ids: Mapping[str, str], /) -> None:
        """Keep ids, by their day; keeping one again changes nothing. Raises Unavailable."""

    async def knows(self, conversation_id: str, packed: str, /) -> bool:
        """Say whether an id is kept. Raises Unavailable."""


class Clock(Protocol):
    """The wall clock; the only real one is in ``streams``."""

    def now_ms(self) -> int:
        """Unix milliseconds, UTC."""


class State(Protocol):
    """What every stage's state of one conversation tells the loop.

    States are frozen dataclasses of plain data (msgspec turns them into JSON and back).

    Attributes:
        tenant_id: The company.
        conversation_id: The conversation.
        customer_id: The customer.
        seq: Number of the last step, from 1; every applied event is one step.
        timers: Due time in Unix milliseconds of each timer that is armed, by its name.
    """

    @property
    def tenant_id(self) -> str: ...  # noqa: D102 - see Attributes
    @property
    def conversation_id(self) -> str: ...  # noqa: D102
    @property
    def customer_id(self) -> str: ...  # noqa: D102
    @property
    def seq(self) -> int: ...  # noqa: D102
    @property
    def timers(self) -> Mapping[str, int]: ...  # noqa: D102


Agent = Callable[[S | None, Event, Delivery], Awaitable[tuple[S, tuple[Event, ...]]]]
"""One stage: the state before (None at first), one event -> the state after and what to say."""
