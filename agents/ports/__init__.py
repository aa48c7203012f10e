"""What the agents need of the world: one protocol for each role.

Adapters in ``agents.adapters`` and ``sinks`` satisfy them by shape; ``streams.app``
introduces them. All of them raise only ``schemas.errors``.
"""

from __future__ import annotations

from agents.ports.knowledge import Knowledge, Passage
from agents.ports.log import (
    SWITCHED_OFF,
    Agent,
    Archive,
    Clock,
    Delivery,
    State,
    Superseded,
    Switches,
    Tenants,
)
from agents.ports.model import Completion, Embedder, Model, Prompt, ToolUse, estimated_tokens
from agents.ports.observation import (
    BubbleMoved,
    BubbleSettled,
    CircuitChanged,
    HandoffLate,
    ModelCalled,
    Observation,
    Observe,
    Posted,
    ReadTold,
    TakeoverApplied,
    ToolRan,
    UnknownBubbles,
    unobserved,
)
from agents.ports.permits import TAKEN_OVER, Asked, Permits, Withheld
from agents.ports.tools import (
    BubbleClaims,
    Claimed,
    Claims,
    Takeovers,
    Tool,
    ToolCaller,
    ToolReturned,
    WriteClaims,
)
from agents.ports.whatsapp import (
    Accepted,
    Courier,
    Letter,
    NotSent,
    Read,
    Receipt,
    Refused,
    Template,
    Tokens,
    Unknown,
)

__all__ = [
    "SWITCHED_OFF",
    "TAKEN_OVER",
    "Accepted",
    "Agent",
    "Archive",
    "Asked",
    "BubbleClaims",
    "BubbleMoved",
    "BubbleSettled",
    "CircuitChanged",
    "Claimed",
    "Claims",
    "Clock",
    "Completion",
    "Courier",
    "Delivery",
    "Embedder",
    "HandoffLate",
    "Knowledge",
    "Letter",
    "Model",
    "ModelCalled",
    "NotSent",
    "Observation",
    "Observe",
    "Passage",
    "Permits",
    "Posted",
    "Prompt",
    "Read",
    "ReadTold",
    "Receipt",
    "Refused",
    "State",
    "Superseded",
    "Switches",
    "TakeoverApplied",
    "Takeovers",
    "Template",
    "Tenants",
    "Tokens",
    "Tool",
    "ToolCaller",
    "ToolRan",
    "ToolReturned",
    "ToolUse",
    "Unknown",
    "UnknownBubbles",
    "Withheld",
    "WriteClaims",
    "estimated_tokens",
    "unobserved",
]
