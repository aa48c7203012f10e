"""The one list of topics; creation, docs, drift check and manifests are rendered from it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from schemas.events import (
    ControlRequested,
    ConversationChanged,
    Event,
    HandoffRequested,
    HumanReplied,
    MemoryUpdateRequested,
    MessageReceived,
    OutboundRequested,
    OutboundSettled,
    OutboundUpdated,
    ResponseGenerated,
    SettingsChanged,
    StatusReceived,
    StepTaken,
    TimerFired,
    ToolCallCompleted,
    ToolCallRequested,
)

DAY_MS: Final = 86_400_000
DLQ_SUFFIX: Final = ".dlq"


class Key(StrEnum):
    """What a topic's records are keyed by."""

    CONVERSATION = "conversation_id"
    TENANT = "tenant_id"


@dataclass(frozen=True, slots=True, kw_only=True)
class Topic:
    """A topic of the pipeline.

    Attributes:
        name: Its name, without environment or version.
        record: The record that its values hold.
        doc: One sentence for a person in a Kafka UI.
        writers: Who writes it.
        readers: Who reads it.
        key: What it is keyed by.
        retention_ms: How long a record is kept; replay reaches as far back. In a compacted topic:
            how long it is kept after a newer one of its key has replaced it.
        compacted: True keeps the newest record of each key for ever.
        single: True for exactly one partition; else the common count of all.
    """

    name: str
    record: type[Event]
    doc: str
    writers: tuple[str, ...]
    readers: tuple[str, ...]
    key: Key = Key.CONVERSATION
    retention_ms: int = 14 * DAY_MS
    compacted: bool = False
    single: bool = False

    @property
    def dlq(self) -> str:
        """Name of its dead letter topic."""
        return self.name + DLQ_SUFFIX

    @property
    def subject(self) -> str:
        """Name of its values' subject in the schema registry."""
        return f"{self.name}-value"


MESSAGE_RECEIVED: Final = Topic(
    name="inbox.message.received",
    record=MessageReceived,
    doc="Customers' messages, one record each, resolved to a conversation.",
    writers=("webhook",),
    readers=("dispatch", "transcripts"),
    retention_ms=30 * DAY_MS,
)
STATUS_RECEIVED: Final = Topic(
    name="inbox.status.received",
    record=StatusReceived,
    doc="What WhatsApp says became of the messages that we sent.",
    writers=("webhook",),
    readers=("outbound",),
)
HUMAN_REPLIED: Final = Topic(
    name="inbox.human.replied",
    record=HumanReplied,
    doc="Replies of people: from the console (to send) or the phone app (already sent).",
    writers=("webhook", "api"),
    readers=("dispatch", "transcripts"),
    retention_ms=30 * DAY_MS,
)
CONTROL_REQUESTED: Final = Topic(
    name="inbox.control.requested",
    record=ControlRequested,
    doc="Take over, release, pause, close: what people ask of a conversation.",
    writers=("webhook", "api", "ai", "tools", "outbound"),
    readers=("dispatch",),
)
SETTINGS_CHANGED: Final = Topic(
    name="tenant.settings.changed",
    record=SettingsChanged,
    doc="Settings of each tenant; every worker reads all of it.",
    writers=("api",),
    readers=("webhook", "dispatch", "ai", "tools", "outbound"),
    key=Key.TENANT,
    retention_ms=31 * DAY_MS,  # longer than any record that names a version
    compacted=True,
    single=True,
)
CONVERSATION_TIMER: Final = Topic(
    name="conversation.timer.fired",
    record=TimerFired,
    doc="Due times of conversations: the end of a burst, of a pause.",
    writers=("dispatch",),
    readers=("dispatch",),
)
HANDOFF_REQUESTED: Final = Topic(
    name="routing.handoff.requested",
    record=HandoffRequested,
    doc="Turns given to an agent or taken back.",
    writers=("dispatch",),
    readers=("ai",),
)
TOOL_REQUESTED: Final = Topic(
    name="tools.call.requested",
    record=ToolCallRequested,
    doc="Tools that the model asked for.",
    writers=("ai",),
    readers=("tools",),
)
TOOL_COMPLETED: Final = Topic(
    name="tools.call.completed",
    record=ToolCallCompleted,
    doc="What the tools gave.",
    writers=("tools",),
    readers=("ai",),
)
RESPONSE_GENERATED: Final = Topic(
    name="agent.ai.response.generated",
    record=ResponseGenerated,
    doc="How each turn ended at the AI stage.",
    writers=("ai",),
    readers=("dispatch",),
)
OUTBOUND_REQUESTED: Final = Topic(
    name="outbound.message.requested",
    record=OutboundRequested,
    doc="Bubbles to send and epoch markers, in the order of the conversation.",
    writers=("dispatch",),
    readers=("outbound",),
)
OUTBOUND_UPDATED: Final = Topic(
    name="outbound.message.updated",
    record=OutboundUpdated,
    doc="Every change of a bubble's state.",
    writers=("outbound",),
    readers=("transcripts",),
    retention_ms=30 * DAY_MS,
)
OUTBOUND_SETTLED: Final = Topic(
    name="outbound.message.settled",
    record=OutboundSettled,
    doc="How each bubble or marker ended at the gate, once; and what was not delivered then.",
    writers=("outbound",),
    readers=("dispatch",),
)
OUTBOUND_TIMER: Final = Topic(
    name="outbound.timer.fired",
    record=TimerFired,
    doc="Due times of the gate: retries, and the cap of an unknown result.",
    writers=("outbound",),
    readers=("outbound",),
)
MEMORY_REQUESTED: Final = Topic(
    name="memory.update.requested",
    record=MemoryUpdateRequested,
    doc="What is worth remembering of a conversation.",
    writers=("dispatch",),
    readers=("memory",),
)
CONVERSATION_CHANGED: Final = Topic(
    name="conversation.state.changed",
    record=ConversationChanged,
    doc="Every step of every conversation, with its cause: the order for replay.",
    writers=("dispatch",),
    readers=("transcripts",),
    retention_ms=30 * DAY_MS,
)
STEP_TAKEN: Final = Topic(
    name="conversation.step.taken",
    record=StepTaken,
    doc="Steps of a stage that nothing else tells of, and states that replay may begin from.",
    writers=("dispatch", "ai", "tools", "outbound"),
    readers=("replay",),
)

TOPICS: Final = (
    MESSAGE_RECEIVED,
    STATUS_RECEIVED,
    HUMAN_REPLIED,
    CONTROL_REQUESTED,
    SETTINGS_CHANGED,
    CONVERSATION_TIMER,
    HANDOFF_REQUESTED,
    TOOL_REQUESTED,
    TOOL_COMPLETED,
    RESPONSE_GENERATED,
    OUTBOUND_REQUESTED,
    OUTBOUND_UPDATED,
    OUTBOUND_SETTLED,
    OUTBOUND_TIMER,
    MEMORY_REQUESTED,
    CONVERSATION_CHANGED,
    STEP_TAKEN,
)
"""Every topic, without the dead letter topic that each one has."""

STATEFUL_STAGES: Final = ("dispatch", "ai", "tools", "outbound")
"""Stages with a table; each has one changelog topic, named by stage."""


def changelog(stage: str) -> str:
    """Return the name of a stage's changelog topic; it does not depend on the layout."""
    return f"whaticket.{stage}.changelog"
