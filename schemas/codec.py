"""Records to bytes and back: Confluent's wire format around Avro.

A value is a zero byte, the id of the writer's schema (4 bytes, big-endian) and the Avro
body. It is written with our newest schema of the record and read with the writer's schema
resolved to ours, so that older and newer writers may run beside us.

Source: Confluent, "Formats, Serializers, and Deserializers", section "Wire format".
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, get_args

import msgspec
from fastavro import parse_schema, schemaless_reader, schemaless_writer
from fastavro.read import SchemaResolutionError
from fastavro.schema import SchemaParseException, UnknownType, fullname

from schemas.avro_schema import NAMESPACE, plain, schema_of, spelled
from schemas.errors import Rejected
from schemas.events import Event
from schemas.topics import TOPICS

MAGIC: Final = 0
HEADER: Final = struct.Struct(">bI")

Lookup = Callable[[int], Awaitable[str | None]]
"""Asks the registry for the text of a schema by its id; None when there is no such id.

Raises ``Unavailable`` when it cannot be asked.
"""


class UnknownSchema(Rejected):
    """The writer's schema has not been learned yet; ask the registry before giving up.

    Attributes:
        schema_id: Id of the schema.
    """

    def __init__(self, schema_id: int) -> None:
        super().__init__("unknown_schema", f"schema id {schema_id}")
        self.schema_id = schema_id


@dataclass(frozen=True, slots=True)
class _Reading:
    """How values of one schema id are read; no record when it is none of ours."""

    record: type[Event] | None
    writer: Any
    reader: Any


RECORDS: Final[dict[str, type[Event]]] = {
    f"{NAMESPACE}.{record.__name__}": record for record in get_args(Event)
}
RECORD_OF_TOPIC: Final[dict[str, type[Event]]] = {topic.name: topic.record for topic in TOPICS}

# What msgspec and fastavro raise for a value that does not fit its schema.
_MISFITS: Final = (
    ValueError,
    TypeError,
    AttributeError,
    ArithmeticError,
    EOFError,
    LookupError,
    struct.error,
    SchemaResolutionError,
)


PARSED: Final[dict[type[Event], Any]] = {
    record: parse_schema(plain(schema_of(record))) for record in get_args(Event)
}
"""Our newest schema of each record, as fastavro wants it."""


def _nullable_records(record: type[Event]) -> tuple[tuple[str, str], ...]:
    """Return the fields that hold a record or null, each with the full name of that record."""
    fields = plain(spelled(schema_of(record)))["fields"]
    unions = {f["name"]: f["type"][1] for f in fields if isinstance(f["type"], list)}
    names = {
        field: branch.get("name", "") if isinstance(branch, dict) else branch
        for field, branch in unions.items()
    }
    return tuple((field, name) for field, name in names.items() if "." in name)


BRANCHES: Final = {record: _nullable_records(record) for record in get_args(Event)}
"""Told which branch of a union it is, fastavro need not try: a third less time for each event."""


class Codec:
    """Encodes with our schemas, decodes with the writer's; one for each process.

    Args:
        ids: Id of our newest schema, by topic.
        lookup: Where unknown schemas are asked for; without one there are none to learn.
    """

    def __init__(self, ids: Mapping[str, int], *, lookup: Lookup | None = None) -> None:
        self._lookup = lookup
        self._records = dict(RECORD_OF_TOPIC)
        self._heads = {topic: HEADER.pack(MAGIC, ids[topic]) for topic in RECORD_OF_TOPIC}
        self._readings = {
            head: _Reading(RECORD_OF_TOPIC[topic], PARSED[RECORD_OF_TOPIC[topic]], None)
            for topic, head in self._heads.items()
        }

    @classmethod
    def offline(cls) -> Codec:
        """Return a codec that needs no registry: ids are hashes of the subjects' names."""
        return cls({topic.name: zlib.crc32(topic.subject.encode()) for topic in TOPICS})

    def extend(self, topic: str, like: str) -> None:
        """Let a topic that is none of the pipeline's hold the records of one that is."""
        self._records[topic] = self._records[like]
        self._heads[topic] = self._heads[like]

    def encode(self, event: Event) -> bytes:
        """Return the value of an event on the topic that it names.

        Raises:
            Rejected: ``wrong_record`` when the topic holds another record, ``bad_value`` when
                a field does not fit its schema.
        """
        record = type(event)
        if self._records.get(event.event) is not record:
            raise Rejected("wrong_record", f"{record.__name__} does not belong on its topic")
        body = io.BytesIO()
        body.write(self._heads[event.event])
        fields = msgspec.to_builtins(event)
        for name, branch in BRANCHES[record]:
            if fields[name] is not None:
                fields[name] = (branch, fields[name])
        try:
            schemaless_writer(body, PARSED[record], fields)
        except _MISFITS as exc:
            raise _bad_value(record, exc) from None
        return body.getvalue()

    def decode(self, raw: bytes | None) -> Event:
        """Return the event that a value holds.

        Raises:
            UnknownSchema: The writer's schema must be learned first.
            Rejected: ``null_value``, ``bad_magic``, ``truncated``, ``trailing_bytes``,
                ``wrong_record`` or ``bad_value``.
        """
        reading = self._reading(raw)
        if raw is None or reading.record is None:
            raise Rejected("wrong_record", "the writer's schema is none of ours")
        body = io.BytesIO(raw)
        body.seek(HEADER.size)
        try:
            plain_event = schemaless_reader(body, reading.writer, reading.reader)
        except _MISFITS as exc:
            # fastavro has no one error for the end of the bytes: EOFError, IndexError and others.
            if body.tell() >= len(raw):
                raise Rejected("truncated", "the value ends inside its body") from None
            raise _bad_value(reading.record, exc) from None
        if body.tell() != len(raw):
            raise Rejected("trailing_bytes", f"{len(raw) - body.tell()} bytes after the body")
        try:
            return msgspec.convert(plain_event, reading.record)
        except msgspec.ValidationError as exc:
            raise _bad_value(reading.record, exc) from None

    async def read(self, raw: bytes | None) -> Event:
        """Decode, learning the writer's schema if it is new.

        Raises:
            Rejected: As ``decode``, and ``unknown_schema`` when the registry has no such id.
            Unavailable: The registry had to be asked and could not be.
        """
        try:
            return self.decode(raw)
        except UnknownSchema as unknown:
            await self.learn(unknown.schema_id)
        return self.decode(raw)

    async def learn(self, schema_id: int) -> None:
        """Ask the registry for a schema, once.

        Raises:
            Rejected: ``unknown_schema``: the registry has no such id.
            Unavailable: The registry cannot be asked.
        """
        if HEADER.pack(MAGIC, schema_id) in self._readings:
            return
        text = await self._lookup(schema_id) if self._lookup else None
        if text is None:
            raise Rejected("unknown_schema", f"the registry has no schema id {schema_id}")
        self.teach(schema_id, text)

    def teach(self, schema_id: int, text: str) -> None:
        """Remember the schema of an id; one that is none of ours is remembered as such."""
        self._readings[HEADER.pack(MAGIC, schema_id)] = _reading_of(text)

    def _reading(self, raw: bytes | None) -> _Reading:
        if raw is None:
            raise Rejected("null_value", "a record without a value")
        reading = self._readings.get(raw[: HEADER.size])
        if reading is not None:
            return reading
        if not raw:
            raise Rejected("truncated", "an empty value")
        if raw[0] != MAGIC:
            raise Rejected("bad_magic", "the value does not begin with a zero byte")
        if len(raw) < HEADER.size:
            raise Rejected("truncated", "the value ends inside its schema id")
        raise UnknownSchema(HEADER.unpack_from(raw)[1])


def _reading_of(text: str) -> _Reading:
    try:
        writer = plain(msgspec.json.decode(text))
        record = RECORDS.get(fullname(writer))
        if record is None:
            return _Reading(None, None, None)
        return _Reading(record, parse_schema(writer), PARSED[record])
    except (*_MISFITS, SchemaParseException, UnknownType):
        return _Reading(None, None, None)


def _bad_value(record: type, exc: Exception) -> Rejected:
    # The text of the exception may quote the value: only its type is told (promise I7).
    return Rejected("bad_value", f"{record.__name__}: {type(exc).__name__}")
