"""What was seen in a run: facts, of which a checker judges at any time.

A fact is something that was seen, never a judgement. Texts and phone numbers of a run are
invented; the file holds them, as the topics do.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final, get_args

from schemas.events import OutcomeKind
from streams.local.chaos.shown import Marked, Shown

Seen = dict[str, float | str | bool]
"""What was seen of a fault while it happened."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Began:
    """What was asked of the run.

    Attributes:
        run: Its name.
        command: What repeats it.
        seed: What everything planned follows from.
        faults: Names of the faults that were planned.
        layout: Layout of the stack.
        brokers: Kafka brokers of it.
        messages: Messages that were planned.
        at_ms: When it began.
    """

    run: str
    command: str
    seed: int
    faults: tuple[str, ...]
    layout: str
    brokers: int
    messages: int
    at_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Posted:
    """A message that was posted to the webhook until it was answered with 200.

    Attributes:
        customer: Who wrote it.
        sequence: Its number in its conversation.
        wamid: WhatsApp's id of it; a duplicate has that of the earlier message.
        sort: What it is.
        expects: How it may end.
        alone: Whether nobody but the AI has a part in its conversation.
        began_ms: First attempt.
        answered_ms: When it was answered with 200; 0 never.
        refusals: Other answers, by HTTP status (``0``: none came), and how often.
    """

    customer: str
    sequence: int
    wamid: str
    sort: str
    expects: tuple[OutcomeKind, ...]
    alone: bool
    began_ms: int
    answered_ms: int
    refusals: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Something that a person asked of a conversation through the API.

    Attributes:
        conversation_id: The conversation.
        command: What was asked; empty is a reply.
        request_id: The idempotency key.
        answered_ms: When the API took it; 0 never.
    """

    conversation_id: str
    command: str
    request_id: str
    answered_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Logged:
    """A record of a topic.

    Attributes:
        topic: Its topic.
        partition: Its partition.
        offset: Its offset.
        event: What it says, as plain data.
    """

    topic: str
    partition: int
    offset: int
    event: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """A record of a dead letter topic.

    Attributes:
        topic: The dead letter topic.
        partition: Its partition.
        offset: Its offset.
        headers: Its headers.
        keyed: Whether it has a key.
    """

    topic: str
    partition: int
    offset: int
    headers: dict[str, str]
    keyed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """A bubble that the WhatsApp simulator accepted.

    Attributes:
        number: Place in its order.
        conversation_id: The conversation that our callback data names.
        bubble_id: Our id of it.
        wamid: WhatsApp's id of it.
        at_ms: When, by the simulator's clock.
        to: To whom; empty in older histories.
    """

    number: int
    conversation_id: str
    bubble_id: str
    wamid: str
    at_ms: int
    to: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """A service request that a tool opened.

    Attributes:
        call_id: The tool call.
        conversation_id: The conversation.
        at_ms: When, by the database's clock.
    """

    call_id: str
    conversation_id: str
    at_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Struck:
    """A planned fault, and what was seen of it.

    Attributes:
        fault: Its name in the catalogue.
        whom: The parts that it struck.
        sent: Messages that had been sent by then.
        unsent: Messages that had not.
        began_ms: When it began.
        ended_ms: When it was over, and what was struck ready again.
        evidence: What was seen.
    """

    fault: str
    whom: tuple[str, ...]
    sent: int
    unsent: int
    began_ms: int
    ended_ms: int
    evidence: Seen


@dataclass(frozen=True, slots=True, kw_only=True)
class Committed:
    """Committed offsets at one moment, and how far the topics went just afterwards.

    Attributes:
        at_ms: When.
        offsets: Topic, partition and committed offset.
        ends: Topic, partition and end, read after the offsets.
    """

    at_ms: int
    offsets: tuple[tuple[str, int, int], ...]
    ends: tuple[tuple[str, int, int], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaked:
    """A text, name, phone number or secret where none may be.

    Attributes:
        where: A log, a topic's keys or headers, a process' metrics.
        what: What kind of thing it is, never the thing itself.
        times: How often.
    """

    where: str
    what: str
    times: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Searched:
    """Where was looked for leaks, so that finding none means something.

    Attributes:
        logs_bytes: Bytes of logs.
        records: Records whose keys and headers were read.
        pages: Pages of metrics.
        planted: Things that were looked for.
    """

    logs_bytes: int
    records: int
    pages: int
    planted: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """A metric at the end of the run.

    Attributes:
        process: Whose.
        name: Its name.
        labels: Its labels.
        count: Its value.
    """

    process: str
    name: str
    labels: dict[str, str]
    count: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """What a stage wrote to its changelog.

    Attributes:
        stage: The stage.
        records: Records.
        stored_bytes: Bytes of their values.
        conversations: How many conversations they are about.
        largest_bytes: The largest state among them.
    """

    stage: str
    records: int
    stored_bytes: int
    conversations: int
    largest_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Again:
    """What came of deciding everything again from what was recorded.

    Attributes:
        steps: Steps that were decided again.
        different: Each stage of a conversation that would decide otherwise, and where.
    """

    steps: int
    different: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """The end of the run.

    Attributes:
        at_ms: When.
        unfinished: Messages without an outcome, and bubbles that are not settled.
    """

    at_ms: int
    unfinished: int


Fact = (
    Began | Posted | Asked | Logged | Letter | Taken | Effect | Struck
    | Committed | Leaked | Searched | Counted | Stored | Again | Shown | Marked | Ended
)  # fmt: skip
KINDS: Final[dict[str, type[Fact]]] = {kind.__name__.lower(): kind for kind in get_args(Fact)}
"""Every kind of fact by its name in the file."""
