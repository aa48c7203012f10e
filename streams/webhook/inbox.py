"""The inbox: a signed body becomes records, all of which the broker has before we answer.

Rule 1: parts in = records and dead letters out; nothing is dropped.

Rule 2: the deadline covers everything, from the look-up of the customer to the last
acknowledgement. Past it the answer is 503, and the sender delivers again: the records have
the same ids then, and their readers act on each one once.

Rule 3: a body of statuses alone waits for the next beat (``streams.webhook.beat``). They are three
in four of what WhatsApp sends and nobody waits for them, and a request to the broker costs more
than a record: here, at the broker, and where they are read.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import structlog

from agents.ports import Clock
from schemas.errors import Rejected, Unavailable
from schemas.events import Event
from sinks.identity import Ask, Place
from sinks.rawparts import REFERENCE_BYTES
from streams.kafka.publish import Record, record_of
from streams.logs import place
from streams.metrics import DEAD_LETTERS
from streams.webhook.beat import Beat
from streams.webhook.letters import Letter, record_of_letter
from streams.webhook.ports import Encoding, Keeping, Numbers, People, Posting
from streams.whatsapp import Message, Other, Part, Status, Unreadable, parse
from streams.whatsapp.callback import Callback, read_callback
from streams.whatsapp.events import Belonging, human_replied, message_received, status_received
from streams.whatsapp.parts import Echo

log = structlog.get_logger(__name__)

Told = Message | Status | Echo


@dataclass(frozen=True, slots=True)
class _Found:
    """A part whose tenant is known."""

    part: Told
    tenant_id: str
    phone_number_id: str
    callback: Callback | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Inbox:
    """Puts what is received on the log.

    Attributes:
        numbers: Whose business number it is.
        people: Where customers' events belong.
        keeping: Where large parts are stored.
        posting: The way to the log.
        codec: The way to bytes.
        clock: When it is received.
        timeout_s: Time limit of everything.
        beat: When statuses go on.
    """

    numbers: Numbers
    people: People
    keeping: Keeping
    posting: Posting
    codec: Encoding
    clock: Clock
    timeout_s: float
    beat: Beat = field(default_factory=Beat)

    async def accept(self, app_id: str, body: bytes) -> None:
        """Put everything that a WhatsApp body tells on the log.

        Args:
            app_id: The Meta app whose secret signed it.
            body: The bytes as received; their signature is right.

        Raises:
            Unavailable: Kafka or Postgres is down or too slow; nothing may be answered yet.
        """
        letters: list[Letter] = []
        found = list(self._sorted(app_id, body, letters))
        async with _deadline(self.timeout_s):
            places = await self._places(found)
            records = self._records(found, places, letters)
            await self._keep(found, letters)
            now_ms = self.clock.now_ms()
            buried = [record_of_letter(one, app_id=app_id, now_ms=now_ms) for one in letters]
            if found and not letters and all(isinstance(one.part, Status) for one in found):
                await self.beat.next()
            await self._post([*records, *buried])
        for letter in letters:
            DEAD_LETTERS.labels("inbox.message.received", letter.reason).inc()

    async def place_of(self, ask: Ask) -> Place:
        """Return where a customer's events belong.

        Raises:
            Unavailable: The customer is not in memory and Postgres is down or too slow.
        """
        async with _deadline(self.timeout_s):
            (found,) = await self.people.resolve([ask])
        return found

    async def publish(self, event: Event) -> None:
        """Put one event on the log.

        Raises:
            Rejected: It does not fit its schema.
            Unavailable: Kafka is down or too slow.
        """
        async with _deadline(self.timeout_s):
            await self._post([record_of(event, self.codec)])

    def _sorted(self, app_id: str, body: bytes, letters: list[Letter]) -> Sequence[_Found]:
        """Return the parts that belong to a conversation; the others become letters."""
        found = []
        for part in _split(body, letters):
            one = self._of_tenant(app_id, part)
            if isinstance(one, Letter):
                letters.append(one)
            else:
                found.append(one)
        return found

    def _of_tenant(self, app_id: str, part: Part) -> _Found | Letter:
        if isinstance(part, Other):
            return Letter(part.reason, part.body)
        owner = self.numbers.by_phone_number(part.phone_number_id or "")
        if owner is None or part.phone_number_id is None or owner[1].app_id != app_id:
            return Letter("unknown_channel", part.alone())
        tenant_id = owner[0].tenant_id
        callback = None
        if isinstance(part, Status):
            callback = read_callback(part.callback, tenant_id=tenant_id)
        if callback is None and not part.identifiers:
            return Letter("no_person", part.alone())
        if not isinstance(part, Message) and len(part.raw) > REFERENCE_BYTES:
            return Letter("too_large", part.alone())
        return _Found(part, tenant_id, part.phone_number_id, callback)

    async def _places(self, found: Sequence[_Found]) -> list[Place]:
        """Return the place of each part; a status that brings our callback data knows its own."""
        asks = [
            Ask(one.tenant_id, one.phone_number_id, one.part.identifiers)
            for one in found
            if one.callback is None
        ]
        resolved = iter(await self.people.resolve(asks) if asks else [])
        return [
            Place(one.callback.conversation_id, one.callback.customer_id)
            if one.callback
            else next(resolved)
            for one in found
        ]

    async def _keep(self, found: Sequence[_Found], letters: Sequence[Letter]) -> None:
        parts = [one.part.raw for one in found if len(one.part.raw) > REFERENCE_BYTES]
        parts += [letter.body for letter in letters if letter.large]
        if parts:
            await self.keeping.keep(parts)

    def _records(
        self, found: Sequence[_Found], places: Sequence[Place], letters: list[Letter]
    ) -> list[Record]:
        records = []
        for one, where in zip(found, places, strict=True):
            try:
                records.append(record_of(self._event(one, where), self.codec))
            except Rejected:
                letters.append(Letter("record_refused", one.part.alone()))
        return records

    def _event(self, one: _Found, where: Place) -> Event:
        at = Belonging(
            tenant_id=one.tenant_id,
            phone_number_id=one.phone_number_id,
            conversation_id=where.conversation_id,
            customer_id=where.customer_id,
            now_ms=self.clock.now_ms(),
        )
        if isinstance(one.part, Message):
            large = len(one.part.raw) > REFERENCE_BYTES
            return message_received(one.part, at, by_reference=large)
        if isinstance(one.part, Status):
            return status_received(one.part, at, one.callback)
        return human_replied(one.part, at)

    async def _post(self, records: Sequence[Record]) -> None:
        sent: list[asyncio.Future[tuple[int, int]]] = []
        try:
            for record in records:
                # one by one: when a post fails, those before it are known
                sent.append(await self.posting.post(record))  # noqa: PERF401 - see above
            await asyncio.gather(*sent)
        except BaseException:
            # Nobody waits for the others any more: 503 is the answer whatever becomes of them.
            for one in sent:
                one.cancel()
            await asyncio.gather(*sent, return_exceptions=True)
            raise


def _split(body: bytes, letters: list[Letter]) -> Sequence[Part]:
    try:
        return parse(body)
    except Unreadable as exc:
        letters.append(Letter(exc.reason, body))
    except Exception as exc:  # noqa: BLE001 - the last resort: a bug of ours must not lose a body
        log.error(  # noqa: TRY400 - a traceback's message may quote the body
            "webhook.unexpected", error=place(exc), bytes=len(body)
        )
        letters.append(Letter("unexpected", body))
    return ()


@asynccontextmanager
async def _deadline(seconds: float) -> AsyncIterator[None]:
    """Turn a deadline that passed into ``Unavailable``."""
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError:
        raise Unavailable("kafka") from None
