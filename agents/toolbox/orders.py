"""``order_status``: where an order of the customer stands."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from agents.core.aiagents import users_of
from agents.ports import Tool, ToolCaller, ToolReturned


class Orders(Protocol):
    """The orders of a tenant."""

    async def order(
        self, tenant_id: str, customer_id: str, order_number: str, /
    ) -> Mapping[str, Any] | None:
        """Return an order that this customer may see, or None."""


def order_status(orders: Orders) -> Tool:
    """Return the tool; whose order it is, the conversation decides, never the model."""

    async def run(caller: ToolCaller, given: Mapping[str, Any]) -> ToolReturned:
        number = given["order_number"].lstrip("#").strip()
        found = await orders.order(caller.tenant_id, caller.customer_id, number)
        if found is None:
            return ToolReturned(ok=False, content={"error": "not_found"}, error="not_found")
        eta = found["eta"]
        return ToolReturned(
            ok=True,
            content={
                "order_number": found["order_number"],
                "status": found["status"],
                "eta": eta.isoformat() if eta else None,
            },
        )

    return Tool(
        name="order_status",
        doc="Look up where an order of this customer stands, by its number.",
        parameters={
            "type": "object",
            "properties": {
                "order_number": {
                    "type": "string",
                    "pattern": "^#?[A-Za-z0-9-]{1,32}$",
                    "description": "Number of the order, as the customer wrote it",
                }
            },
            "required": ["order_number"],
            "additionalProperties": False,
        },
        run=run,
        agents=users_of("order_status"),
    )
