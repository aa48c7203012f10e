"""AI: ``routing.handoff.requested`` | ``tools.call.completed`` -> tools | a response."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial

from agents.asking import World, completed
from agents.core import prompt as prompts
from agents.core import turnsteps
from agents.core.aiagents import PROFILES, TRANSFER, Profile
from agents.core.turn import (
    Limits,
    Running,
    Turn,
    awaited,
    exhausted,
    known,
    stepped,
    thinking,
)
from agents.core.turnevents import Moment
from agents.core.turnsteps import Decided
from agents.ports import (
    SWITCHED_OFF,
    Clock,
    Delivery,
    Knowledge,
    Model,
    Passage,
    Superseded,
    Switches,
    Tool,
)
from schemas.errors import Rejected, Unavailable
from schemas.events import (
    Event,
    HandoffRequested,
    ResponseOutcome,
    SettingsChanged,
    ToolCallCompleted,
    TurnKind,
)

PASSAGES = 5
MEMORIES = 3
SUPERSEDED = "superseded"
AI_DISABLED = "ai_disabled"
HANDED_REASONS = frozenset({"step_limit", "token_budget", AI_DISABLED})
"""A turn that used up its means has cost the customer no time yet: a person goes on. So they do
when the tenant stops its AI in the middle of a turn.
"""


async def ai(  # noqa: PLR0913 - dependencies, keyword-only
    state: Turn | None,
    event: Event,
    delivery: Delivery,
    *,
    model: Model,
    knowledge: Knowledge,
    tenants: Switches,
    toolbox: Mapping[str, Tool],
    clock: Clock,
    profiles: Mapping[str, Profile] = PROFILES,
    timeout_s: float = 60.0,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> Decided:
    """Apply one event to the running turn of its conversation, asking the model where needed.

    Args:
        state: The conversation's turn before; None at first.
        event: The event.
        delivery: Its delivery.
        model: The language model.
        knowledge: Passages and memories.
        tenants: Settings of the tenants.
        toolbox: The tools by name.
        clock: Measures deadlines while the model is tried again.
        profiles: The agents by name.
        timeout_s: Time limit of one model call.
        sleep: Waits between two tries, in seconds.

    Raises:
        Unavailable: The knowledge base is down; nothing was decided.
        Rejected: The event is none of this stage's, or of another conversation.
    """
    current = stepped(state, event)
    settings = tenants.get(event.tenant_id)
    moment = Moment(
        event=event,
        source=delivery.source,
        now_ms=delivery.now_ms,
        settings_version=settings.version if settings else 0,
    )
    world = World(
        model=model,
        knowledge=knowledge,
        tenants=tenants,
        toolbox=toolbox,
        clock=clock,
        delivery=delivery,
        timeout_s=timeout_s,
        sleep=sleep,
    )
    match event:
        case HandoffRequested(kind=TurnKind.START):
            return await _started(
                current, event, moment, world, _profile(settings, event, profiles)
            )
        case HandoffRequested(kind=TurnKind.CANCEL):
            return turnsteps.cancel_asked(current, event, moment)
        case ToolCallCompleted():
            if not awaited(current, event):
                return current, ()
            current, said = turnsteps.tool_completed(current, event, moment)
            return await _thought(current, said, moment, world)
        case _:
            raise Rejected("unexpected_event")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Brief:
    """What a start needs of the settings."""

    settings: SettingsChanged
    profile: Profile


def _profile(
    settings: SettingsChanged | None, handoff: HandoffRequested, profiles: Mapping[str, Profile]
) -> _Brief | str:
    """Return what the agent is told, or why there is none, as a short code."""
    profile = profiles.get(handoff.to_agent)
    if settings is None:
        return "unknown_tenant"
    if not settings.ai_enabled:
        return AI_DISABLED
    return _Brief(settings=settings, profile=profile) if profile else "unknown_agent"


async def _started(
    state: Turn, handoff: HandoffRequested, moment: Moment, world: World, brief: _Brief | str
) -> Decided:
    if handoff.to_agent == "human" or known(state, handoff.turn_id, handoff.turn_seq):
        return state, ()
    if isinstance(brief, str):
        return turnsteps.declined(state, handoff, moment, ResponseOutcome.HANDOFF, brief)
    try:
        passages = await world.delivery.unless(
            _cancels(handoff.turn_id), _looked_up(world.knowledge, handoff)
        )
    except Superseded:
        return turnsteps.declined(state, handoff, moment, ResponseOutcome.CANCELLED, SUPERSEDED)
    system = prompts.system(brief.settings, brief.profile, TRANSFER)
    hints = [prompts.Hint(source=found.citation.source, text=found.text) for found in passages]
    state, said = turnsteps.begin(
        state,
        handoff,
        moment,
        messages=prompts.messages(system, handoff, hints),
        prompt_version=prompts.version(system),
        citations=tuple(found.citation for found in passages),
        trusted=(
            brief.settings.prompt,
            *(hint.text for hint in hints if hint.source != "memory"),
            *(line.text for line in handoff.history if line.role != "customer"),
        ),
        limits=Limits(tokens=brief.settings.turn_token_budget),
    )
    return await _thought(state, said, moment, world)


async def _looked_up(knowledge: Knowledge, handoff: HandoffRequested) -> tuple[Passage, ...]:
    found, remembered = await asyncio.gather(
        knowledge.search(handoff.tenant_id, handoff.question, limit=PASSAGES),
        knowledge.recall(handoff.tenant_id, handoff.customer_id, limit=MEMORIES),
    )
    return (*found, *remembered)


async def _thought(state: Turn, said: tuple[Event, ...], moment: Moment, world: World) -> Decided:
    """Ask the model until it wants tools or the turn has its response.

    Ends: every answer is one more step, and the steps of a turn are limited.
    """
    writes = frozenset(name for name, tool in world.toolbox.items() if tool.side_effect)
    while (running := thinking(state)) is not None:
        settings = world.tenants.get(state.tenant_id)
        stopped = None if settings is not None and settings.ai_enabled else AI_DISABLED
        spent = stopped or exhausted(running, world.clock.now_ms())
        if spent is not None:
            handed = spent in HANDED_REASONS
            outcome = ResponseOutcome.HANDOFF if handed else ResponseOutcome.FAILED
            state, more = turnsteps.gave_up(state, moment, outcome, spent)
        else:
            state, more = await _asked(state, running, moment, world, writes)
        said = (*said, *more)
    return state, said


async def _asked(
    state: Turn, running: Running, moment: Moment, world: World, writes: frozenset[str]
) -> Decided:
    requested_ms = world.clock.now_ms()
    try:
        completion = await world.delivery.unless(
            _cancels(running.turn_id),
            completed(running, world),
            stopped=partial(world.tenants.stopped, state.tenant_id),
        )
    except Superseded as exc:
        outcome, reason = _why(exc)
        stopped_ms = world.clock.now_ms()
        return turnsteps.cut_short(
            state, moment, outcome, reason, requested_ms=requested_ms, stopped_ms=stopped_ms
        )
    except Unavailable:
        return turnsteps.gave_up(state, moment, ResponseOutcome.FAILED, "model_unavailable")
    except Rejected as refusal:
        if refusal.reason == "content_filter":
            return turnsteps.gave_up(state, moment, ResponseOutcome.HANDOFF, "refused")
        reason = f"model:{refusal.reason}"
        return turnsteps.gave_up(state, moment, ResponseOutcome.FAILED, reason)
    return turnsteps.answered(state, completion, moment, writes=writes)


def _why(cut: Superseded) -> tuple[ResponseOutcome, str]:
    """Return how a turn ends whose model call was cut short."""
    if cut.by == SWITCHED_OFF:
        return ResponseOutcome.HANDOFF, AI_DISABLED
    return ResponseOutcome.CANCELLED, SUPERSEDED


def _cancels(turn_id: str) -> Callable[[Event], bool]:
    """Return what tells whether a newer event takes the turn back."""

    def newer(event: Event) -> bool:
        return (
            isinstance(event, HandoffRequested)
            and event.kind is TurnKind.CANCEL
            and event.turn_id == turn_id
        )

    return newer
