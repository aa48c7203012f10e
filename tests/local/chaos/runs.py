"""A chaos run that went well, as facts; tests break it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from schemas.changing import replace
from schemas.events import (
    Author,
    BubbleState,
    Command,
    ControlRequested,
    ConversationChanged,
    MemoryUpdateRequested,
    MessageReceived,
    OutboundKind,
    OutboundRequested,
    OutboundSettled,
    OutcomeKind,
    Person,
    ResponseGenerated,
    TimerFired,
    ToolCallCompleted,
    ToolCallRequested,
)
from sinks.ports import Recorded
from streams.local.chaos.archive import read, write
from streams.local.chaos.facts import (
    Again,
    Asked,
    Began,
    Committed,
    Counted,
    Effect,
    Ended,
    Fact,
    Leaked,
    Letter,
    Logged,
    Posted,
    Searched,
    Stored,
    Struck,
    Taken,
)
from streams.local.chaos.shown import Marked, Shown
from streams.local.chaos.story import Story, story
from streams.local.chaos.verdict import judge
from tests.local.loads import World

FIRST, SECOND = "5500001", "5500002"
KILLED = Struck(
    fault="F1",
    whom=("worker",),
    sent=3,
    unsent=3,
    began_ms=1105,
    ended_ms=1200,
    evidence={"before": 1, "after": 2},
)

ASKED = Asked(conversation_id="conv_5500002", command="takeover", request_id="r", answered_ms=7000)

STEPS = 31
"""Steps of all stages in a run that went well."""

COUNTED = Counted(process="worker", name="audit_offsets_total", labels={}, count=20)

STORED = Stored(stage="dispatch", records=9, stored_bytes=9000, conversations=2, largest_bytes=900)


@dataclass
class Run(World):
    """Two customers as in ``World``; a tool changed something for one, a person took one over."""

    effects: list[Effect] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=lambda: [ASKED])
    struck: list[Struck] = field(default_factory=lambda: [KILLED])
    committed: list[Committed] = field(default_factory=list)
    letters: list[Letter] = field(default_factory=list)
    leaked: list[Leaked] = field(default_factory=list)
    counted: list[Counted] = field(default_factory=lambda: [COUNTED])
    again: list[Again] = field(default_factory=lambda: [Again(steps=STEPS, different=())])
    refusals: dict[str, int] = field(default_factory=lambda: {"503": 1})
    shown: list[Shown] = field(default_factory=list)
    marked: list[Marked] = field(default_factory=list)
    stored: list[Stored] = field(default_factory=lambda: [STORED])
    searched: Searched = field(
        default_factory=lambda: Searched(logs_bytes=10, records=10, pages=2, planted=4)
    )
    faults: tuple[str, ...] = ("F1",)
    posted: Callable[[Posted], Posted] = lambda posted: posted
    taken: Callable[[Taken], Taken] = lambda taken: taken

    @classmethod
    def well(cls) -> Run:
        run = cls()
        for customer in (FIRST, SECOND):
            first = run.message(customer, 1, 1000)
            second = run.message(customer, 2, 1100)
            run.turn(customer, 1, 2602, first, second)
            third = run.message(customer, 3, 5000)
            run.turn(customer, 2, 6502, third)
        run.tool(FIRST, "turn-5500001-1", "call-1", 2650)
        run.take_over(SECOND, 7000)
        run.commit()
        run.show()
        return run

    def turn(self, customer: str, number: int, at: int, *wamids: str) -> None:
        """A turn as in ``World``; its last message is marked as read, and it is remembered."""
        super().turn(customer, number, at, *wamids)
        turn_id = f"turn-{customer}-{number}"
        timer = next(r for r in reversed(self.records) if isinstance(r.event, TimerFired))
        self.add(
            OutboundRequested(
                **self.envelope(OutboundRequested, customer, at, timer),
                bubble_id=f"receipt-{turn_id}", turn_id=turn_id, epoch=0, author=Author.AI,
                kind=OutboundKind.READ, read_wamid=wamids[-1], phone_number_id="111",
                recipient=Person(wa_id=customer),
            )
        )  # fmt: skip
        self.marked.append(Marked(wamid=wamids[-1], times=2))
        response = self.records[self.find(ResponseGenerated, -1)]
        self.add(
            MemoryUpdateRequested(
                **self.envelope(MemoryUpdateRequested, customer, at + 110, response),
                turn_id=turn_id, question="?", answer="!",
            )
        )  # fmt: skip

    def bubble(self, customer: str, turn_id: str, bubble_id: str, at: int, cause: Recorded) -> None:
        super().bubble(customer, turn_id, bubble_id, at, cause)
        self.step(customer, at + 3, self.records[self.find(OutboundSettled, -1)])

    def tool(self, customer: str, turn_id: str, call_id: str, at: int, *, effect: int = 1) -> None:
        cause = self.records[0]
        common: dict[str, Any] = {
            "turn_id": turn_id, "epoch": 0, "call_id": call_id, "step": 1, "tool": "open_ticket",
        }  # fmt: skip
        asked = self.add(
            ToolCallRequested(
                **self.envelope(ToolCallRequested, customer, at, cause), **common, turn_seq=1,
                model_call_id="m", agent="support", arguments="{}", deadline_at=at + 1000,
            )
        )  # fmt: skip
        self.add(
            ToolCallCompleted(
                **self.envelope(ToolCallCompleted, customer, at + 9, asked), **common,
                ok=True, content="{}", side_effect=True,
            )
        )  # fmt: skip
        self.effects += [
            Effect(call_id=call_id, conversation_id=f"conv_{customer}", at_ms=at + 5)
        ] * effect

    def take_over(self, customer: str, at: int) -> None:
        """A person takes over; the gate applies the marker of epoch 1."""
        asked = self.add(
            ControlRequested(
                **self.envelope(ControlRequested, customer, at), command=Command.TAKEOVER,
                request_id="r",
            )
        )  # fmt: skip
        self.step(customer, at + 1, asked)
        common: dict[str, Any] = {
            "bubble_id": f"marker-{customer}", "epoch": 1, "author": Author.AUTOMATION,
            "kind": OutboundKind.MARKER,
        }  # fmt: skip
        marker = self.add(
            OutboundRequested(
                **self.envelope(OutboundRequested, customer, at + 1, asked), **common,
                phone_number_id="111", recipient=Person(wa_id=customer),
            )
        )  # fmt: skip
        applied = self.add(
            OutboundSettled(
                **self.envelope(OutboundSettled, customer, at + 2, marker), **common,
                state=BubbleState.APPLIED,
            )
        )  # fmt: skip
        self.step(customer, at + 3, applied)

    def commit(self) -> None:
        """Everything on the log is committed."""
        ends: dict[str, int] = {}
        for record in self.records:
            ends[record.position.topic] = ends.get(record.position.topic, 0) + 1
        rows = tuple((topic, 0, end) for topic, end in ends.items())
        self.committed.append(Committed(at_ms=8000, offsets=rows, ends=rows))

    def show(self) -> None:
        """Consoles show everything."""
        for customer in (FIRST, SECOND):
            whose = f"conv_{customer}"
            events = [r.event for r in self.records if r.event.conversation_id == whose]
            steps = [e for e in events if isinstance(e, ConversationChanged) and e.cause]
            messages = [e.wamid for e in events if isinstance(e, MessageReceived)]
            bubbles = [
                e.bubble_id
                for e in events
                if isinstance(e, OutboundRequested) and e.kind is OutboundKind.MESSAGE
            ]
            self.shown.append(
                Shown(
                    conversation_id=whose,
                    seq=max(e.cause.seq for e in steps if e.cause),
                    phase=str(steps[-1].phase),
                    messages=(*messages, *bubbles),
                    outcomes={o.wamid: str(o.kind) for e in steps for o in e.outcomes},
                    memories=tuple(
                        e.event_id for e in events if isinstance(e, MemoryUpdateRequested)
                    ),
                )
            )

    def facts(self) -> list[Fact]:
        count = len(self.sent)
        return [
            Began(
                run="r", command="whaticket chaos --seed 1", seed=1, faults=self.faults,
                layout="split", brokers=1, messages=count, at_ms=900,
            ),
            *(
                self.posted(
                    Posted(
                        customer=m.customer, sequence=m.sequence, wamid=m.wamid, sort="question",
                        expects=tuple(m.expects | {OutcomeKind.HANDED}), alone=True,
                        began_ms=1000 * m.sequence, answered_ms=1000 * m.sequence + 5,
                        refusals=self.refusals,
                    )
                )
                for m in self.sent
            ),
            *self.asked,
            *(
                Logged(
                    topic=r.position.topic, partition=0, offset=r.position.offset,
                    event=msgspec.to_builtins(r.event),
                )
                for r in self.records
            ),
            *(
                self.taken(
                    Taken(
                        number=a.number, conversation_id=a.conversation_id,
                        bubble_id=a.bubble_id, wamid=a.wamid, at_ms=1,
                        to=a.conversation_id.removeprefix("conv_"),
                    )
                )
                for a in self.accepted
            ),
            *self.effects, *self.struck, *self.committed, *self.letters, *self.leaked,
            *self.again, *self.counted, *self.stored, *self.shown,
            *self.marked, self.searched,
            Ended(at_ms=9000, unfinished=0),
        ]  # fmt: skip

    def told(self, folder: Path) -> Story:
        """The story, as it is read again from its file."""
        write(folder / "history.jsonl", self.facts())
        return story(read(folder / "history.jsonl"))

    def broken(self, folder: Path | None = None) -> set[str]:
        told = story(self.facts()) if folder is None else self.told(folder)
        return {violation.rule for violation in judge(told).violations}

    def late(self) -> None:
        """The AI's last bubble to the second customer is posted after the marker."""
        index = self.find(OutboundSettled, -1)
        marker = self.records[index].event
        assert marker.cause is not None
        changed = replace(marker, cause=replace(marker.cause, seq=1))
        self.records[index] = replace(self.records[index], event=changed)

    def step_about(self, record: type) -> int:
        """Where dispatch's step about the first record of a kind is."""
        source = self.records[self.find(record)].position
        causes = [r.event.cause for r in self.records]
        return next(
            i
            for i in range(len(causes))
            if isinstance(self.records[i].event, ConversationChanged)
            and (cause := causes[i])
            and (cause.topic, cause.offset) == (source.topic, source.offset)
        )

    def change_step(self, record: type, **changes: Any) -> None:
        index = self.step_about(record)
        before = self.records[:index]
        place = sum(isinstance(r.event, ConversationChanged) for r in before)
        self.change(ConversationChanged, place, **changes)
