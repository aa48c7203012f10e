"""Tools: ``tools.call.requested`` -> ``tools.call.completed``."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import structlog

from agents.core import toolcalls
from agents.core.patience import wait_s
from agents.core.toolcalls import UNKNOWN_RESULT, ToolCalls, refused
from agents.core.turnevents import Moment
from agents.ports import (
    Clock,
    Delivery,
    Observe,
    Tenants,
    Tool,
    ToolCaller,
    ToolRan,
    ToolReturned,
    WriteClaims,
    unobserved,
)
from schemas.errors import Rejected, Unavailable
from schemas.events import Event, ToolCallRequested

log = structlog.get_logger(__name__)

AI_DISABLED: Final = "ai_disabled"
CLAIM: Final = "tool"
CLAIM_VALID_MS: Final = 5_000
"""How old a claim may be when the tool starts: a process that was frozen longer may not start it,
because a person may have taken the conversation over meanwhile."""
ATTEMPT: Final = 1
"""A tool call has one attempt: another one is another call, which the model asks for."""

Sleep = Callable[[float], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Run:
    """One call that may run.

    Attributes:
        tool: The tool.
        caller: On whose behalf.
        given: Its arguments, valid.
        left_s: Seconds until the result is no longer wanted.
    """

    tool: Tool
    caller: ToolCaller
    given: Mapping[str, Any]
    left_s: float


async def tools(  # noqa: PLR0913 - dependencies, keyword-only
    state: ToolCalls | None,
    event: Event,
    delivery: Delivery,
    *,
    toolbox: Mapping[str, Tool],
    claims: WriteClaims,
    clock: Clock,
    tenants: Tenants,
    observe: Observe = unobserved,
    sleep: Sleep = asyncio.sleep,
) -> tuple[ToolCalls, tuple[Event, ...]]:
    """Run one tool call, or say why it was refused; a repeated call changes nothing.

    Args:
        state: The conversation's calls before; None at first.
        event: The call.
        delivery: Its delivery.
        toolbox: The tools by name.
        claims: Taken just before a tool that changes something.
        clock: Measures how long the tool took, and how old a claim is.
        tenants: Settings of the tenants.
        observe: Told of every run.
        sleep: Waits between two tries, in seconds.

    Raises:
        Unavailable: No claim could be taken; nothing happened outside.
        Rejected: The event is none of this stage's, or of another conversation.
    """
    if not isinstance(event, ToolCallRequested):
        raise Rejected("unexpected_event")
    current = toolcalls.stepped(state, event)
    if event.call_id in current.seen:
        return current, ()
    settings = tenants.get(event.tenant_id)
    version = settings.version if settings else 0
    moment = Moment(
        event=event, source=delivery.source, now_ms=delivery.now_ms, settings_version=version
    )
    started_ms = clock.now_ms()
    tool = toolbox.get(event.tool)
    world = _World(claims=claims, clock=clock, sleep=sleep)
    reason = toolcalls.refusal(current, event, tool, delivery.now_ms)
    # The kill switch: whatever a turn still wants, nothing is changed outside.
    if tool is not None and tool.side_effect and not (settings and settings.ai_enabled):
        reason = AI_DISABLED
    if tool is None or reason is not None:
        returned, touched = await _refused(event, tool, reason or "unknown_tool", claims)
    else:
        returned, touched = await _attempt(event, tool, world, now_ms=delivery.now_ms)
    took_ms = max(0, clock.now_ms() - started_ms)
    observe(
        ToolRan(
            tool=tool.name if tool else "unknown",
            outcome=_outcome(returned),
            seconds=took_ms / 1000,
        )
    )
    return toolcalls.completed(
        current, event, returned, moment, side_effect=touched, duration_ms=took_ms
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _World:
    """What an attempt needs of the world."""

    claims: WriteClaims
    clock: Clock
    sleep: Sleep


async def _refused(
    call: ToolCallRequested, tool: Tool | None, reason: str, claims: WriteClaims
) -> tuple[ToolReturned, bool]:
    """Refuse a call; what it did before its worker died, and its event came again, is told."""
    writes = tool is not None and tool.side_effect
    if writes and await claims.taken(CLAIM, call.call_id, ATTEMPT):
        return await _begun_before(call.call_id, claims)
    return refused(reason), False


async def _begun_before(call_id: str, claims: WriteClaims) -> tuple[ToolReturned, bool]:
    returned = _stored(await claims.result(CLAIM, call_id, ATTEMPT))
    return returned, returned.ok or returned.error == UNKNOWN_RESULT


async def _attempt(
    call: ToolCallRequested, tool: Tool, world: _World, *, now_ms: int
) -> tuple[ToolReturned, bool]:
    """Return what the call gave, and whether it may have changed something outside."""
    given = toolcalls.arguments(tool, call.arguments)
    if isinstance(given, ToolReturned):
        return given, False
    caller = ToolCaller(
        tenant_id=call.tenant_id,
        conversation_id=call.conversation_id,
        customer_id=call.customer_id,
        call_id=call.call_id,
    )
    run = _Run(tool=tool, caller=caller, given=given, left_s=(call.deadline_at - now_ms) / 1000)
    if tool.side_effect:
        return await _written(run, call.epoch, world)
    return await _read(run, world.sleep), False


async def _read(run: _Run, sleep: Sleep) -> ToolReturned:
    """Run a tool that changes nothing; tried again a few times while its system is down."""
    tries = 0
    while True:
        try:
            return await _limited(run)
        except TimeoutError:
            return refused("timeout")
        except Rejected as refusal:
            return refused(refusal.reason)
        except Unavailable as exc:
            tries += 1
            pause_s = wait_s(tries, exc.retry_after_s, run.left_s)
            if pause_s is None:
                return refused("unavailable")
            await sleep(pause_s)


async def _written(run: _Run, epoch: int, world: _World) -> tuple[ToolReturned, bool]:
    """Run a tool that changes something, once, and not after a takeover.

    After the claim nothing is tried again: a tool that was cut off may have done its work.
    """
    claims, call_id = world.claims, run.caller.call_id
    asked_ms = world.clock.now_ms()
    claimed = await claims.claim_write(call_id, ATTEMPT, run.caller.conversation_id, epoch)
    if claimed == "barred":
        return refused("stale_epoch"), False
    if claimed == "taken":
        return await _begun_before(call_id, claims)
    try:
        expired = world.clock.now_ms() - asked_ms > CLAIM_VALID_MS
        returned = refused("claim_expired") if expired else await _limited(run)
    except (TimeoutError, Unavailable):
        return refused(UNKNOWN_RESULT), True
    except Rejected as refusal:
        returned = refused(refusal.reason)
    await _settled(claims, call_id, returned)
    return returned, returned.ok


async def _limited(run: _Run) -> ToolReturned:
    async with asyncio.timeout(max(0.0, min(run.tool.timeout_s, run.left_s))):
        return await run.tool.run(run.caller, run.given)


async def _settled(claims: WriteClaims, call_id: str, returned: ToolReturned) -> None:
    content = toolcalls.bounded(returned.content)
    stored = {"ok": returned.ok, "content": content, "error": returned.error}
    try:
        await claims.settle(CLAIM, call_id, ATTEMPT, json.dumps(stored))
    except Exception as exc:  # noqa: BLE001 - the tool has run: a second try would not know of it
        # Only a redelivery would read it, and that one says `unknown_result` instead.
        log.warning("tool.result_not_stored", tool_call=call_id, error=type(exc).__name__)


def _stored(result: str | None) -> ToolReturned:
    """Return the result that an earlier run of this call stored, if it did."""
    if result is None:
        return refused(UNKNOWN_RESULT)
    stored = json.loads(result)
    return ToolReturned(
        ok=stored["ok"], content=json.loads(stored["content"]), error=stored["error"]
    )


def _outcome(returned: ToolReturned) -> str:
    if returned.ok:
        return "ok"
    down = ("unavailable", "timeout", UNKNOWN_RESULT)
    return "unavailable" if returned.error in down else "refused"
