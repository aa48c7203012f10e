"""Control of the simulator over HTTP, for tests and faults; answers this machine only."""

from __future__ import annotations

import functools
import ipaddress
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from agents.ports import Clock
from streams.clock import MovableClock
from streams.local.simulator.answers import json
from streams.local.simulator.refusals import BAD_REQUEST, FORBIDDEN, Refusal, invalid
from streams.local.simulator.script import Wish
from streams.local.simulator.state import Simulator
from streams.local.simulator.templates import Template
from streams.local.simulator.tokens import TokenState

Handle = Callable[[Request], Awaitable[Response]]
Asked = TypeVar("Asked")


class RulesAsked(msgspec.Struct, forbid_unknown_fields=True):
    """Body of ``PATCH /_simulator/rules``; what is not named stays as it is."""

    meta: bool | None = None
    mps: int | None = None


class NumberAsked(msgspec.Struct, forbid_unknown_fields=True):
    """Body of ``PATCH /_simulator/numbers/{phone_number_id}``."""

    restricted: bool | None = None
    mps: int | None = None
    upgrade: bool = False


class TokenAsked(msgspec.Struct, forbid_unknown_fields=True):
    """Body of ``POST /_simulator/tokens``: without a token, every one that was used.

    Attributes:
        state: What becomes of it.
        token: The token.
        phone_number_id: Only those that this number used.
    """

    state: TokenState
    token: str | None = None
    phone_number_id: str = ""


class ClockAsked(msgspec.Struct, forbid_unknown_fields=True):
    """Body of ``POST /_simulator/clock``.

    Attributes:
        advance_s: Seconds to put it forward.
        speed: How many of its seconds pass in one of the machine's.
    """

    advance_s: float = 0.0
    speed: float | None = None


class MisbehaviourAsked(msgspec.Struct, forbid_unknown_fields=True):
    """Body of ``POST /_simulator/misbehaviour``."""

    wishes: list[Wish]


class Unreadable(ValueError):
    """A body is not what was asked for; says what was expected, never what was sent."""


def local(handle: Handle) -> Handle:
    """Answer 403 to other machines: whoever may ask for faults may stop the service."""

    @functools.wraps(handle)
    async def guarded(request: Request) -> Response:
        host = request.client.host if request.client else ""
        if not _loopback(host):
            refusal = Refusal(10, "Control is for this machine only.", FORBIDDEN)
            return json(refusal.body("sim"), FORBIDDEN)
        try:
            return await handle(request)
        except Unreadable as exc:
            return json(invalid("body", str(exc)).body("sim"), BAD_REQUEST)

    return guarded


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


async def asked(request: Request, what: type[Asked]) -> Asked:
    """Return the body of a control request.

    Raises:
        Unreadable: It is no JSON, or not of this form.
    """
    try:
        return msgspec.json.decode(await request.body(), type=what)
    except msgspec.DecodeError as exc:
        raise Unreadable(f"cannot be read: {exc}") from None


def _of(request: Request) -> Simulator:
    simulator: Simulator = request.app.state.simulator
    return simulator


@local
async def show(request: Request) -> Response:
    """``GET /_simulator/control``: what is switched on, and what was counted."""
    return json(control_state(_of(request)))


def control_state(simulator: Simulator) -> dict[str, Any]:
    """Return what is switched on, and what was counted."""
    return {
        "simulator": True,
        "seed": simulator.seed,
        "rules": {"meta": simulator.meta.on, "mps": simulator.meta.mps},
        "misbehaviour": simulator.script.state(),
        "happened": simulator.journal.counts,
        "figures": simulator.figures(),
        "refusals": simulator.refusals,
        "busiest_second": simulator.meta.throughput.busiest,
    }


@local
async def set_rules(request: Request) -> Response:
    """``PATCH /_simulator/rules``: switch Meta's rules, or change a limit."""
    simulator, wanted = _of(request), await asked(request, RulesAsked)
    if wanted.mps is not None and wanted.mps < 1:
        raise Unreadable("mps is at least 1")
    if wanted.meta is not None:
        simulator.meta.on = wanted.meta
    simulator.meta.mps = wanted.mps or simulator.meta.mps
    return json(control_state(simulator))


@local
async def set_number(request: Request) -> Response:
    """``PATCH /_simulator/numbers/{phone_number_id}``: what Meta decides about one number."""
    simulator, wanted = _of(request), await asked(request, NumberAsked)
    phone_number_id = request.path_params["phone_number_id"]
    number = simulator.meta.number(phone_number_id)
    if wanted.restricted is not None:
        number.restricted = wanted.restricted
    number.mps = wanted.mps or number.mps
    if wanted.upgrade:
        simulator.meta.upgrade(phone_number_id, now_ms=simulator.clock.now_ms())
    return json({"phone_number_id": phone_number_id, **msgspec.to_builtins(number)})


@local
async def set_token(request: Request) -> Response:
    """``POST /_simulator/tokens``: end a token in one of Meta's ways, or make it good again."""
    simulator, wanted = _of(request), await asked(request, TokenAsked)
    now_ms = simulator.clock.now_ms()
    if wanted.token is None:
        changed = simulator.tokens.set_used(
            wanted.state, now_ms=now_ms, number=wanted.phone_number_id
        )
    else:
        simulator.tokens.set(wanted.token, wanted.state, now_ms=now_ms)
        changed = 1
    return json({"state": wanted.state, "tokens": changed})


@local
async def add_template(request: Request) -> Response:
    """``POST /_simulator/templates``: one more approved template, or another state of it."""
    template = await asked(request, Template)
    _of(request).meta.templates.add(template)
    return json(msgspec.to_builtins(template))


@local
async def show_clock(request: Request) -> Response:
    """``GET /_simulator/clock``: what time it is."""
    return json(_told(_of(request).clock))


@local
async def move_clock(request: Request) -> Response:
    """``POST /_simulator/clock``: put the clock of all processes forward, or let it go faster."""
    clock, wanted = _of(request).clock, await asked(request, ClockAsked)
    if not isinstance(clock, MovableClock):
        raise Unreadable("this clock cannot be moved: start with --movable-clock or CLOCK_FILE")
    try:
        clock.move(by_ms=round(wanted.advance_s * 1000), speed=wanted.speed)
    except ValueError as exc:
        raise Unreadable(str(exc)) from None
    return json(_told(clock))


def _told(clock: Clock) -> dict[str, Any]:
    found: dict[str, Any] = {"now_ms": clock.now_ms(), "movable": isinstance(clock, MovableClock)}
    if isinstance(clock, MovableClock):
        found |= {"ahead_s": clock.ahead_ms / 1000, "speed": clock.speed}
    return found


@local
async def misbehave(request: Request) -> Response:
    """``POST /_simulator/misbehaviour``: let more go wrong from now on."""
    simulator, wanted = _of(request), await asked(request, MisbehaviourAsked)
    for wish in wanted.wishes:
        simulator.script.add(wish)
    return json(control_state(simulator))


@local
async def behave(request: Request) -> Response:
    """``DELETE /_simulator/misbehaviour``: let nothing more go wrong."""
    simulator = _of(request)
    simulator.script.clear()
    return json(control_state(simulator))


@local
async def journal(request: Request) -> Response:
    """``GET /_simulator/journal?kind=&after=``: what went wrong on purpose, in order."""
    simulator, query = _of(request), request.query_params
    after = query.get("after", "0")
    if not after.isdecimal():
        raise Unreadable("after must be a number")
    acts = simulator.journal.select(kind=query.get("kind", ""), after=int(after))
    return json({"total": simulator.journal.total, "acts": acts})


ROUTES: Final = (
    Route("/_simulator/control", show, methods=["GET"]),
    Route("/_simulator/clock", show_clock, methods=["GET"]),
    Route("/_simulator/clock", move_clock, methods=["POST"]),
    Route("/_simulator/misbehaviour", misbehave, methods=["POST"]),
    Route("/_simulator/misbehaviour", behave, methods=["DELETE"]),
    Route("/_simulator/journal", journal, methods=["GET"]),
    Route("/_simulator/rules", set_rules, methods=["PATCH"]),
    Route("/_simulator/numbers/{phone_number_id}", set_number, methods=["PATCH"]),
    Route("/_simulator/tokens", set_token, methods=["POST"]),
    Route("/_simulator/templates", add_template, methods=["POST"]),
)
