"""Finding the records of a story on the topics."""

from __future__ import annotations

from contextlib import aclosing
from typing import Final

from schemas.errors import PipelineError
from schemas.events import HumanReplied, MessageReceived, OutboundUpdated
from schemas.topics import DLQ_SUFFIX, HUMAN_REPLIED, MESSAGE_RECEIVED, OUTBOUND_UPDATED
from streams.kafka.reading import Reading
from streams.kafka.registry import open_codec
from streams.settings import Settings
from streams.story.trace import CONVERSATION_TOPICS, Story, story

SEARCHED: Final = (MESSAGE_RECEIVED.name, OUTBOUND_UPDATED.name, HUMAN_REPLIED.name)
"""Topics that name WhatsApp's ids; they are searched from their beginning."""
NAMED: Final = (MessageReceived, OutboundUpdated, HumanReplied)
"""Their records."""


class NotOnTheLog(PipelineError):
    """Nothing of it is on the topics: never received, or older than their retention."""


async def traced(current: Settings, *, wamid: str = "", conversation_id: str = "") -> Story:
    """Return the story of a message or of a conversation.

    Args:
        current: Where Kafka and the registry are.
        wamid: A customer's message, or one of ours.
        conversation_id: A conversation, when no message is given.

    Raises:
        NotOnTheLog: There is nothing to tell.
        Unavailable: Kafka or the registry does not answer.
    """
    reading = Reading(current.kafka_bootstrap, await open_codec(current))
    if wamid:
        conversation_id = await _conversation(reading, wamid)
    topics = [name + suffix for name in CONVERSATION_TOPICS for suffix in ("", DLQ_SUFFIX)]
    records = await reading.read(topics, key=conversation_id)
    if not records:
        raise NotOnTheLog(f"nothing is on the topics of {conversation_id}")
    return story(records, conversation_id, wamid or None)


async def _conversation(reading: Reading, wamid: str) -> str:
    """Return the conversation of a message."""
    async with aclosing(reading.records(SEARCHED)) as records:
        async for _, event in records:
            if isinstance(event, NAMED) and event.wamid == wamid:
                return event.conversation_id
    raise NotOnTheLog(f"no message {wamid} is on the topics")
