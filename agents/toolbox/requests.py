"""``open_ticket`` and ``transfer_to_person``: what people have to do for the customer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Protocol

from agents.core.aiagents import TRANSFER, users_of
from agents.core.aitext import clean
from agents.ports import Tool, ToolCaller, ToolReturned

SUMMARY_CHARS: Final = 500
KINDS: Final = ("exchange", "refund", "defect", "delivery", "other")


class Requests(Protocol):
    """The service requests of a tenant."""

    async def request(
        self,
        tenant_id: str,
        conversation_id: str,
        customer_id: str,
        call_id: str,
        /,
        *,
        kind: str,
        summary: str,
    ) -> int:
        """Open a service request and return its number; the same call opens it once."""


def open_ticket(requests: Requests) -> Tool:
    """Return the tool that opens a service request; the AI goes on with the conversation."""

    async def run(caller: ToolCaller, given: Mapping[str, Any]) -> ToolReturned:
        number = await _request(requests, caller, given["kind"], given["summary"])
        return ToolReturned(ok=True, content={"ticket": number})

    return Tool(
        name="open_ticket",
        doc="Open a service request that people work on later: exchange, refund, defect.",
        parameters=_parameters({"kind": {"type": "string", "enum": list(KINDS)}}, "kind"),
        run=run,
        agents=users_of("open_ticket"),
        side_effect=True,
    )


def transfer_to_person(requests: Requests) -> Tool:
    """Return the tool that gives the conversation to a person; its completion ends the turn."""

    async def run(caller: ToolCaller, given: Mapping[str, Any]) -> ToolReturned:
        number = await _request(requests, caller, "transfer", given["summary"])
        return ToolReturned(ok=True, content={"ticket": number, "transferred": True})

    return Tool(
        name=TRANSFER,
        doc="Give the conversation to a person, with a note of what the customer needs.",
        parameters=_parameters({}),
        run=run,
        agents=users_of(TRANSFER),
        side_effect=True,
    )


async def _request(requests: Requests, caller: ToolCaller, kind: str, summary: str) -> int:
    return await requests.request(
        caller.tenant_id,
        caller.conversation_id,
        caller.customer_id,
        caller.call_id,
        kind=kind,
        summary=clean(summary, SUMMARY_CHARS),
    )


def _parameters(more: Mapping[str, Any], *required: str) -> Mapping[str, Any]:
    return {
        "type": "object",
        "properties": {
            **more,
            "summary": {
                "type": "string",
                "minLength": 1,
                "maxLength": SUMMARY_CHARS,
                "description": "What the customer needs, in one or two sentences",
            },
        },
        "required": [*required, "summary"],
        "additionalProperties": False,
    }
