"""Identity: which conversation a name of a customer leads to.

Rule 1: a row (tenant, business number, name) is added once and never changes.

Rule 2: new names of a person go to the conversation of the earliest row that any of the
person's names has; names that lead to different conversations already are left alone.

Rule 3: names are learned under advisory locks, taken in ascending order. Two webhook
processes that meet a person at the same time agree on one conversation, even when each of
them knows other names of that person; and two batches never wait for each other in a circle.
"""

from __future__ import annotations

import zlib
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import asyncpg

from schemas.ids import keyed
from sinks.database import queries, reachable

CAPACITY: Final = 100_000
"""Names kept in memory, about 40 MB; two for each of 50,000 customers."""

_SQL: Final = queries("identity")

_LOCKS: Final = 0x1D
"""Class of our advisory locks."""

_BUCKETS: Final = 512
"""Most locks of one transaction. Postgres has room for 6,400 by default, for all of them."""


@dataclass(frozen=True, slots=True)
class Ask:
    """Whose conversation is looked for.

    Attributes:
        tenant_id: The company.
        phone_number_id: The business number.
        identifiers: Names of the customer, the best one first; at least one.
    """

    tenant_id: str
    phone_number_id: str
    identifiers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a customer's events belong.

    Attributes:
        conversation_id: The conversation.
        customer_id: The customer, the same under every business number of the tenant.
    """

    conversation_id: str
    customer_id: str


@dataclass(frozen=True, slots=True)
class _Row:
    seq: int
    phone_number_id: str
    place: Place
    person: str


_Name = tuple[str, str, str]
"""Tenant, business number and identifier."""


class Identities:
    """Resolves customers to conversations, from memory where it can.

    Args:
        pool: The database.
        hash_key: Key of conversation ids; never changed once in use.
        capacity: Most names kept in memory.
    """

    def __init__(self, pool: asyncpg.Pool, hash_key: bytes, *, capacity: int = CAPACITY) -> None:
        self._pool = pool
        self._hash_key = hash_key
        self._capacity = capacity
        self._seen: OrderedDict[_Name, _Row] = OrderedDict()

    async def resolve(self, asks: Sequence[Ask]) -> list[Place]:
        """Return the place of each ask, in their order; new customers get one.

        At most four queries, however many are asked for; none when all names are in memory.

        Raises:
            Unavailable: Some name is not in memory and Postgres is down.
        """
        found = _Found()
        for ask in asks:
            for name in _names(ask):
                if (row := self._seen.get(name)) is not None:
                    self._seen.move_to_end(name)
                    found.add(name, row)
        missing = [ask for ask in asks if not found.complete(ask)]
        if missing:
            with reachable():
                await self._look_up(missing, found)
            self._remember(found, missing)
        return [found.earliest(ask).place for ask in asks]

    async def link(
        self, tenant_id: str, phone_number_id: str, conversation_id: str, identifier: str
    ) -> None:
        """Let one more name lead to a known conversation; a name that has a row keeps it.

        Raises:
            Unavailable: Postgres is down.
        """
        if (tenant_id, phone_number_id, identifier) in self._seen:
            return
        with reachable():
            async with self._pool.acquire() as connection, connection.transaction():
                await connection.execute(_SQL["lock"], _LOCKS, [_bucket(tenant_id, identifier)])
                await connection.execute(
                    _SQL["link"], tenant_id, phone_number_id, conversation_id, identifier
                )

    async def _look_up(self, asks: Sequence[Ask], found: _Found) -> None:
        async with self._pool.acquire() as connection:
            await _read(connection, asks, found)
            strangers = [ask for ask in asks if not found.complete(ask)]
            if not strangers:
                return
            async with connection.transaction():
                buckets = {
                    _bucket(ask.tenant_id, one) for ask in strangers for one in ask.identifiers
                }
                await connection.execute(_SQL["lock"], _LOCKS, sorted(buckets))
                await _read(connection, strangers, found)
                await self._learn(connection, strangers, found)

    async def _learn(self, connection: Any, asks: Sequence[Ask], found: _Found) -> None:
        """Add the names that have no row; those of one batch see each other."""
        learned = []
        told = found.copy()
        for ask in asks:
            row = told.earliest_or_none(ask) or self._first_contact(ask, told)
            for name in _names(ask):
                if told.add(name, row):
                    place = row.place
                    learned.append((*name, place.conversation_id, place.customer_id, row.person))
        if learned:
            columns = (list(column) for column in zip(*learned, strict=True))
            _note(await connection.fetch(_SQL["learn"], *columns), found)

    def _first_contact(self, ask: Ask, told: _Found) -> _Row:
        """Return the row of a new conversation; the person may be known by another number."""
        elsewhere = told.elsewhere(ask)
        person = elsewhere.person if elsewhere else ask.identifiers[0]
        place = Place(
            keyed("conv", self._hash_key, ask.tenant_id, ask.phone_number_id, person),
            keyed("cust", self._hash_key, ask.tenant_id, person),
        )
        return _Row(_NEW, ask.phone_number_id, place, person)

    def _remember(self, found: _Found, asks: Iterable[Ask]) -> None:
        for ask in asks:
            for name in _names(ask):
                self._seen[name] = found.rows[name]
                self._seen.move_to_end(name)
        while len(self._seen) > self._capacity:
            self._seen.popitem(last=False)


_NEW: Final = 1 << 62
"""Number of a row that Postgres has not numbered: later than all others."""


class _Found:
    """The rows that are known while a batch is resolved."""

    def __init__(self) -> None:
        self.rows: dict[_Name, _Row] = {}
        self.of_tenant: dict[tuple[str, str], list[_Row]] = {}

    def copy(self) -> _Found:
        """Return one that may learn more than this one."""
        other = _Found()
        other.rows = dict(self.rows)
        other.of_tenant = {key: list(rows) for key, rows in self.of_tenant.items()}
        return other

    def add(self, name: _Name, row: _Row) -> bool:
        """Add a row unless its name has one; tell whether it was added."""
        if name in self.rows:
            return False
        self.rows[name] = row
        self.of_tenant.setdefault((name[0], name[2]), []).append(row)
        return True

    def complete(self, ask: Ask) -> bool:
        """Tell whether every name of an ask has a row."""
        return all(name in self.rows for name in _names(ask))

    def earliest(self, ask: Ask) -> _Row:
        """Return the earliest row of the names of an ask."""
        return min((self.rows[name] for name in _names(ask)), key=_seq)

    def earliest_or_none(self, ask: Ask) -> _Row | None:
        """Return the earliest row that any name of an ask has."""
        rows = [self.rows[name] for name in _names(ask) if name in self.rows]
        return min(rows, key=_seq, default=None)

    def elsewhere(self, ask: Ask) -> _Row | None:
        """Return the earliest row of these names under another number of the tenant."""
        rows = [
            row
            for identifier in ask.identifiers
            for row in self.of_tenant.get((ask.tenant_id, identifier), ())
        ]
        return min(rows, key=_seq, default=None)


def _seq(row: _Row) -> int:
    return row.seq


def _names(ask: Ask) -> list[_Name]:
    return [(ask.tenant_id, ask.phone_number_id, identifier) for identifier in ask.identifiers]


def _bucket(tenant_id: str, identifier: str) -> int:
    return zlib.crc32(f"{tenant_id}\x1f{identifier}".encode()) % _BUCKETS


async def _read(connection: Any, asks: Sequence[Ask], found: _Found) -> None:
    pairs = list({(ask.tenant_id, one): None for ask in asks for one in ask.identifiers})
    tenants, identifiers = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    _note(await connection.fetch(_SQL["known"], tenants, identifiers), found)


def _note(rows: Iterable[Any], found: _Found) -> None:
    for row in rows:
        place = Place(row["conversation_id"], row["customer_id"])
        name = (row["tenant_id"], row["phone_number_id"], row["identifier"])
        found.add(name, _Row(row["seq"], row["phone_number_id"], place, row["person"]))
