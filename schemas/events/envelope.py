"""The envelope of every record, and the position that caused it.

The ``Attributes:`` section of a record's docstring is the ``doc`` of its Avro
fields: what a person reads in a Kafka UI is written here, once.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Struct

Millis = Annotated[int, "timestamp-millis"]
"""Unix milliseconds, UTC; Avro logical type ``timestamp-millis``."""


class Position(Struct, frozen=True, kw_only=True):
    """One record of the log.

    Attributes:
        topic: Name of the topic.
        partition: Partition of the topic.
        offset: Offset in the partition.
    """

    topic: str
    partition: int
    offset: int


class Cause(Struct, frozen=True, kw_only=True):
    """Which input, applied as which step, at what time, made a stage say this.

    Attributes:
        topic: Topic of the input.
        partition: Partition of the input.
        offset: Offset of the input.
        seq: Number of the step in this conversation at this stage, from 1, without holes.
        decided_at: Time of the decision; replay decides again at this time.
        settings_version: Version of the tenant's settings that the decision used; 0 is none.
        heard: What the stage was told while it decided (an answer of the model, a receipt), one
            JSON array each; only on the last record of a step. Replay tells it the same again.
    """

    topic: str
    partition: int
    offset: int
    seq: int
    decided_at: Millis
    settings_version: int = 0
    heard: tuple[str, ...] = ()


class Envelope(Struct, frozen=True, kw_only=True):
    """What every record carries.

    Attributes:
        event: Name of the record's topic.
        event_id: UUID; derived from the cause, so a repetition has the same id.
        trace_id: 32 hex digits; the same for everything one inbound message caused.
        tenant_id: The company.
        conversation_id: ``conv_`` and a keyed hash of tenant, business number and person; the key.
        customer_id: ``cust_`` and a keyed hash of tenant and person.
        idempotency_key: Natural id of what happened; the same for every repetition.
        occurred_at: When it happened, by the clock of the service that saw it.
        cause: The input that made a stage say this; absent where the record enters the log.
    """

    event: str
    event_id: str
    trace_id: str
    tenant_id: str
    conversation_id: str
    customer_id: str
    idempotency_key: str
    occurred_at: Millis
    cause: Cause | None = None
