"""Settings of a tenant, as every worker reads them."""

from __future__ import annotations

from msgspec import Struct

from schemas.events.envelope import Envelope


class Channel(Struct, frozen=True, kw_only=True):
    """A business number of a tenant.

    Attributes:
        phone_number_id: WhatsApp's id of the number.
        app_id: The Meta app whose secret signs its webhooks.
        token_version: Version of the access token; the token itself is never on a topic.
        active: False when nothing may be sent.
        messages_per_second: What WhatsApp lets the number carry, in and out; 0 is no limit.
    """

    phone_number_id: str
    app_id: str
    token_version: int = 1
    active: bool = True
    messages_per_second: int = 80


class SettingsChanged(Envelope, frozen=True, kw_only=True):
    """All settings of a tenant; the newest record of a tenant is the whole truth.

    ``conversation_id`` and ``customer_id`` are empty; the key is ``tenant_id``.

    Attributes:
        version: Grows by one with each change.
        company: Number of the tenant in the helpdesk (``company-<id>-*``).
        name: Name of the business, as the AI says it.
        prompt: What the AI should know about the business and how it should speak.
        language: BCP 47 tag of the language to answer in.
        channels: The business numbers.
        ai_enabled: False is the kill switch: people only.
        burst_quiet_ms: Quiet time after which a burst of messages is answered.
        burst_max_ms: Longest time that a burst is gathered.
        burst_adapts: Whether the quiet time follows each customer's own rhythm.
        burst_quiet_min_ms: Shortest quiet time when it does; the longest is ``burst_max_ms``.
        turn_token_budget: Most tokens that one turn may use.
        handoff_words: Words that ask for a person, lower case.
        delivered_wait_ms: Longest time that a part of an answer waits for the part before it to
            be delivered; 0 does not wait.
        read_receipts: Whether a customer sees that the message was read and that the AI writes.
        window_template: Approved template that carries, as its only body parameter, what cannot be
            sent as text because the 24 h window is closed; empty gives it to a person.
        window_template_language: Language of that template, as WhatsApp names it.
        handoff_text: What the customer is told when a person gets the conversation; empty is
            the usual text.
        handoff_minutes: How long a person may take to come to a conversation that was handed
            over, before the customer is told; 0 is for ever.
        handoff_returns: Whether the AI then goes on; else the conversation stays in the queue.
        handoff_late_text: What the customer is told then; empty is the usual text.
        human_silence_minutes: How long a person may be silent before the AI goes on; 0 is for
            ever.
        takeover_tags: Tags of the helpdesk that give a conversation to people while they are on
            it, such as ``atendimento-humano``.
    """

    version: int
    company: int
    name: str
    prompt: str = ""
    language: str = "pt-BR"
    channels: tuple[Channel, ...] = ()
    ai_enabled: bool = True
    burst_quiet_ms: int = 1500
    burst_max_ms: int = 8000
    burst_adapts: bool = True
    burst_quiet_min_ms: int = 600
    turn_token_budget: int = 20000
    handoff_words: tuple[str, ...] = ("atendente", "humano", "pessoa", "human", "agent")
    delivered_wait_ms: int = 2000
    read_receipts: bool = True
    window_template: str = ""
    window_template_language: str = "pt_BR"
    handoff_text: str = ""
    handoff_minutes: int = 0
    handoff_returns: bool = True
    handoff_late_text: str = ""
    human_silence_minutes: int = 0
    takeover_tags: tuple[str, ...] = ()
