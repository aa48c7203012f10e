"""A conversation that is driven event by event, and judged by dispatch's laws at every step."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

from agents.core.conversation import TRANSITIONS, Conversation
from agents.core.dispatch import decide
from schemas.changing import replace
from schemas.events import (
    Author,
    BubbleState,
    Command,
    ControlRequested,
    ConversationChanged,
    Event,
    HandoffRequested,
    HumanReplied,
    MessageKind,
    MessageReceived,
    OutboundKind,
    OutboundRequested,
    OutboundSettled,
    Outcome,
    OutcomeKind,
    Person,
    Phase,
    Position,
    ReplyOrigin,
    ResponseGenerated,
    ResponseOutcome,
    SettingsChanged,
    TimerFired,
    TurnKind,
)
from schemas.ids import derived, trace

E = TypeVar("E")
Fate = Callable[..., tuple[Conversation, tuple[Event, ...]]]
"""What becomes of an event: ``decide``, or one of ``agents.core.dispatch_given_up``."""

T0 = 1_790_000_000_000
NUMBER = "1122334455667"
IDS = {
    "tenant_id": "tenant_a",
    "conversation_id": "conv_0f",
    "customer_id": "cust_0f",
}
MARIA = Person(wa_id="5511987654321", user_id="BR.1", name="Maria")
SETTINGS = SettingsChanged(
    event="tenant.settings.changed",
    event_id=derived("settings", 7),
    trace_id=trace("settings", 7),
    tenant_id="tenant_a",
    conversation_id="",
    customer_id="",
    idempotency_key="tenant_a:7",
    occurred_at=T0,
    version=7,
    company=1,
    name="Loja",
)
STATE_BYTES = 200_000


def envelope(topic: str, key: str, at: int = T0) -> dict[str, Any]:
    return {
        "event": topic,
        "event_id": derived(topic, key),
        "trace_id": trace(topic, key),
        "idempotency_key": key,
        "occurred_at": at,
        **IDS,
    }


def message(wamid: str, text: str | None = "oi", at: int = T0, **more: Any) -> MessageReceived:
    fields: dict[str, Any] = {
        "phone_number_id": NUMBER,
        "wamid": wamid,
        "kind": MessageKind.TEXT,
        "text": text,
        "sender": MARIA,
        "sent_at": at - at % 1000,
    }
    return MessageReceived(**{**envelope("inbox.message.received", wamid, at), **fields, **more})


class Talk:
    """One conversation: what was decided, what was said, what is due."""

    def __init__(self, settings: SettingsChanged | None = SETTINGS) -> None:
        self.settings = settings
        self.state: Conversation | None = None
        self.now = T0
        self.offset = 0
        self.history: list[Event] = []
        self.effects: tuple[Event, ...] = ()
        self.said: list[Event] = []
        self.outcomes: dict[str, str] = {}
        self.said_aside: set[str] = set()  # bubbles of replies that are set aside, to come back
        self.provisional: set[str] = set()  # messages that are set aside, to come back
        self.ids: Counter[str] = Counter()
        self.started: list[HandoffRequested] = []  # turns given to an AI agent, oldest first
        self.responded: set[str] = set()
        self.spoken_epoch = -1  # of the newest AI bubble
        self.floor = 0  # epoch of the newest marker

    # What may happen

    def apply(self, event: Event) -> ConversationChanged:
        """Let dispatch decide one event."""
        return self.meet(event, decide)

    def meet(self, event: Event, fate: Fate) -> ConversationChanged:
        """Let an event meet its fate, and hold dispatch's laws against that."""
        before, self.offset = self.state, self.offset + 1
        source = Position(topic=event.event, partition=3, offset=self.offset)
        told = {"source": source, "now_ms": self.now, "settings": self.settings}
        after, effects = fate(before, event, **told)
        again = fate(before, event, **told)
        assert msgspec.json.encode((after, effects)) == msgspec.json.encode(again)
        self.state, self.effects = after, effects
        self.history.append(event)
        self.said += effects
        changed = effects[-1]
        assert isinstance(changed, ConversationChanged)
        self._judge_state(before, after)
        self._judge_effects(before, after, changed, source)
        return changed

    def hear(self, wamid: str, text: str | None = "oi", **more: Any) -> ConversationChanged:
        return self.apply(message(wamid, text, self.now, **more))

    def fire(self, timer: str) -> ConversationChanged:
        """Let an armed timer fire at its due time, or now when that has passed."""
        self.now = max(self.now, self.it.timers[timer])
        return self.apply(self.fired(timer))

    def fired(self, timer: str) -> TimerFired:
        due = self.it.timers[timer]
        key = f"{timer}:{due}"
        return TimerFired(
            **envelope("conversation.timer.fired", key, self.now), timer=timer, due_at=due
        )

    def respond(
        self,
        *bubbles: str,
        turn: HandoffRequested | None = None,
        outcome: ResponseOutcome = ResponseOutcome.ANSWERED,
        **more: Any,
    ) -> ConversationChanged:
        turn = turn or self.started[-1]
        # A turn that was given up may end once more: that is another event.
        key = f"{turn.turn_id}:{self.offset}" if turn.turn_id in self.responded else turn.turn_id
        self.responded.add(turn.turn_id)
        return self.apply(
            ResponseGenerated(
                **envelope("agent.ai.response.generated", key, self.now),
                turn_id=turn.turn_id,
                turn_seq=turn.turn_seq,
                epoch=turn.epoch,
                agent=turn.to_agent,
                outcome=outcome,
                bubbles=bubbles,
                **more,
            )
        )

    def control(
        self, command: Command, request_id: str | None = None, **more: Any
    ) -> ConversationChanged:
        key = request_id or f"request-{self.offset}"
        return self.apply(
            ControlRequested(
                **envelope("inbox.control.requested", key, self.now),
                command=command,
                request_id=key,
                **{"agent_user": "ana", **more},
            )
        )

    def reply(
        self,
        text: str | None = "Olá, sou a Ana",
        origin: ReplyOrigin = ReplyOrigin.CONSOLE,
        **more: Any,
    ) -> ConversationChanged:
        key = f"reply-{self.offset}"
        return self.apply(
            HumanReplied(
                **envelope("inbox.human.replied", key, self.now),
                phone_number_id=NUMBER,
                origin=origin,
                reply_id=key,
                agent_user="ana" if origin is ReplyOrigin.CONSOLE else None,
                text=text,
                **more,
            )
        )

    def settle(
        self,
        bubble: OutboundRequested,
        state: BubbleState,
        reason: str = "",
        kind: OutboundKind | None = None,
    ) -> ConversationChanged:
        return self.apply(self.end_of(bubble, state, reason, kind))

    def end_of(
        self,
        bubble: OutboundRequested,
        state: BubbleState,
        reason: str = "",
        kind: OutboundKind | None = None,
    ) -> OutboundSettled:
        return OutboundSettled(
            **envelope("outbound.message.settled", bubble.bubble_id, self.now),
            bubble_id=bubble.bubble_id,
            turn_id=bubble.turn_id,
            epoch=bubble.epoch,
            author=bubble.author,
            kind=kind or bubble.kind,
            state=state,
            reason=reason,
        )

    # What is seen

    @property
    def it(self) -> Conversation:
        assert self.state is not None
        return self.state

    def of(self, record: type[E]) -> list[E]:
        """What the last decision said, of one kind."""
        return [each for each in self.effects if isinstance(each, record)]

    @property
    def texts(self) -> list[str | None]:
        asked = self.of(OutboundRequested)
        return [each.text for each in asked if each.kind is not OutboundKind.READ]

    def until_quiet(self) -> None:
        """Answer every turn and let every timer fire, until nothing is left to happen."""
        for _ in range(200):
            unanswered = [t for t in self.started if t.turn_id not in self.responded]
            if unanswered:
                self.respond("pronto", turn=unanswered[0])
            elif self.it.timers:
                self.fire(min(self.it.timers, key=self.it.timers.__getitem__))
            else:
                return
        raise AssertionError("the conversation never comes to rest")

    # The laws

    def _judge_state(self, before: Conversation | None, after: Conversation) -> None:
        assert after.seq == (before.seq if before else 0) + 1
        assert after.epoch >= (before.epoch if before else 0)
        data = msgspec.json.encode(after)
        assert msgspec.json.decode(data, type=Conversation) == after
        assert len(data) < STATE_BYTES
        assert (after.phase is Phase.GATHERING) == ("burst" in after.timers)
        assert (after.phase is Phase.GATHERING) == (after.gathering_since_ms > 0)
        assert (after.turn is not None) == ("turn" in after.timers)
        if after.phase is Phase.THINKING:
            assert after.turn is not None
        if after.pending:
            assert after.timers
        assert _reachable(before.phase if before else Phase.IDLE, after.phase)

    def _judge_effects(
        self,
        before: Conversation | None,
        after: Conversation,
        changed: ConversationChanged,
        source: Position,
    ) -> None:
        assert len(self.of(ConversationChanged)) == 1
        assert changed.decision
        assert changed.phase is after.phase
        for outcome in changed.outcomes:
            assert outcome.wamid not in self.outcomes or outcome.wamid in self.provisional
            self.provisional.discard(outcome.wamid)
            self.outcomes[outcome.wamid] = outcome.kind
            self._judge_outcome(outcome, after)
        for effect in self.effects:
            assert effect.cause is not None
            assert (effect.cause.topic, effect.cause.offset) == (source.topic, source.offset)
            assert (effect.cause.seq, effect.cause.decided_at) == (after.seq, self.now)
            self.ids[effect.event_id] += 1
            assert self.ids[effect.event_id] == 1
        spoken = [
            each
            for each in self.of(OutboundRequested)
            if each.author is Author.AI and each.kind is OutboundKind.MESSAGE
        ]
        if before is not None and before.silenced:
            assert spoken == []
        for bubble in self.of(OutboundRequested):
            self.ids[bubble.bubble_id] += 1
            assert self.ids[bubble.bubble_id] == 1 or bubble.bubble_id in self.said_aside
        self._judge_epochs()
        self._judge_turns(before)

    def _judge_outcome(self, outcome: Outcome, after: Conversation) -> None:
        """An answer is asked for when it is named, a person has what is theirs, nothing is mute."""
        assert outcome.reason
        if outcome.kind is OutcomeKind.ANSWERED:
            asked = self.of(OutboundRequested)
            assert any((e.author, e.turn_id) == (Author.AI, outcome.turn_id) for e in asked)
        elif outcome.kind is OutcomeKind.HANDED:
            assert after.phase in (Phase.WITH_HUMAN, Phase.PAUSED, Phase.CLOSED)

    def _judge_epochs(self) -> None:
        """In the order of the gate a marker is newer than every AI bubble before it."""
        for each in self.of(OutboundRequested):
            if each.kind is OutboundKind.MARKER:
                assert each.epoch > self.spoken_epoch
                self.floor = each.epoch
            elif each.author is Author.AI:
                assert each.epoch >= self.floor
                self.spoken_epoch = each.epoch

    def _judge_turns(self, before: Conversation | None) -> None:
        """A turn starts only when none runs, or by the end of the one that ran."""
        given = self.of(HandoffRequested)
        starts = [t for t in given if t.kind is TurnKind.START and t.to_agent != "human"]
        self.started += starts
        assert len(starts) <= 1
        if starts and before is not None and before.turn is not None:
            event = self.history[-1]
            assert isinstance(event, ResponseGenerated)
            assert event.turn_id == before.turn.turn_id


def _reachable(before: Phase, after: Phase) -> bool:
    """One decision makes at most two moves, such as answered and started."""
    one = {before, *TRANSITIONS[before].values()}
    return after in one.union(*(TRANSITIONS[phase].values() for phase in one))


def with_settings(**changes: Any) -> SettingsChanged:
    return replace(SETTINGS, **changes)


def thinking(*texts: str, settings: SettingsChanged | None = SETTINGS) -> Talk:
    """A conversation whose turn is with the AI."""
    talk = Talk(settings)
    for number, text in enumerate(texts or ("quanto custa?",), 1):
        talk.hear(f"w{number}", text)
    talk.fire("burst")
    return talk


def with_human() -> Talk:
    talk = Talk()
    talk.hear("w1", "quero falar com um atendente")
    return talk
