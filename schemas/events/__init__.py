"""The records of the pipeline. An event is named in the past tense, without a suffix."""

from __future__ import annotations

from schemas.events.agent import (
    Citation,
    ModelCall,
    ResponseGenerated,
    ResponseOutcome,
    ToolCallCompleted,
    ToolCallRequested,
)
from schemas.events.conversation import (
    ConversationChanged,
    Fact,
    HandoffRequested,
    Line,
    MemoryUpdateRequested,
    Outcome,
    OutcomeKind,
    Phase,
    StepTaken,
    TimerFired,
    TurnKind,
)
from schemas.events.envelope import Cause, Envelope, Millis, Position
from schemas.events.inbox import (
    Command,
    ControlRequested,
    DeliveryStatus,
    HumanReplied,
    Media,
    MessageKind,
    MessageReceived,
    Person,
    ReplyOrigin,
    StatusReceived,
)
from schemas.events.outbound import (
    Author,
    BubbleState,
    OutboundKind,
    OutboundRequested,
    OutboundSettled,
    OutboundUpdated,
)
from schemas.events.tenant import Channel, SettingsChanged

Event = (
    MessageReceived
    | StatusReceived
    | HumanReplied
    | ControlRequested
    | SettingsChanged
    | TimerFired
    | HandoffRequested
    | ToolCallRequested
    | ToolCallCompleted
    | ResponseGenerated
    | OutboundRequested
    | OutboundUpdated
    | OutboundSettled
    | MemoryUpdateRequested
    | ConversationChanged
    | StepTaken
)
"""Any record of the pipeline."""

__all__ = [
    "Author",
    "BubbleState",
    "Cause",
    "Channel",
    "Citation",
    "Command",
    "ControlRequested",
    "ConversationChanged",
    "DeliveryStatus",
    "Envelope",
    "Event",
    "Fact",
    "HandoffRequested",
    "HumanReplied",
    "Line",
    "Media",
    "MemoryUpdateRequested",
    "MessageKind",
    "MessageReceived",
    "Millis",
    "ModelCall",
    "OutboundKind",
    "OutboundRequested",
    "OutboundSettled",
    "OutboundUpdated",
    "Outcome",
    "OutcomeKind",
    "Person",
    "Phase",
    "Position",
    "ReplyOrigin",
    "ResponseGenerated",
    "ResponseOutcome",
    "SettingsChanged",
    "StatusReceived",
    "StepTaken",
    "TimerFired",
    "ToolCallCompleted",
    "ToolCallRequested",
    "TurnKind",
]
