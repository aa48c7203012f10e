"""``search_catalogue``: what the business sells, at what price."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol

from agents.core.aiagents import users_of
from agents.ports import Tool, ToolCaller, ToolReturned

MOST: Final = 5
DESCRIPTION_CHARS: Final = 300


class Products(Protocol):
    """The products of a tenant."""

    async def search(
        self, tenant_id: str, words: str, /, *, limit: int
    ) -> Sequence[Mapping[str, Any]]:
        """Return the products that fit the words best."""


def search_catalogue(products: Products) -> Tool:
    """Return the tool; it reads the caller's tenant and nothing else."""

    async def run(caller: ToolCaller, given: Mapping[str, Any]) -> ToolReturned:
        found = await products.search(caller.tenant_id, given["query"], limit=MOST)
        return ToolReturned(ok=True, content={"products": [_told(row) for row in found]})

    return Tool(
        name="search_catalogue",
        doc="Search the products of the business: name, price, stock.",
        parameters={
            "type": "object",
            "properties": {
                "query": {
                    "type": "string",
                    "minLength": 1,
                    "maxLength": 200,
                    "description": "What the customer looks for, in the customer's words",
                }
            },
            "required": ["query"],
            "additionalProperties": False,
        },
        run=run,
        agents=users_of("search_catalogue"),
    )


def _told(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "sku": row["sku"],
        "name": row["name"],
        "description": row["description"][:DESCRIPTION_CHARS],
        "price": f"{row['price_cents'] // 100}.{row['price_cents'] % 100:02d}",
        "currency": row["currency"],
        "in_stock": row["stock"] > 0,
    }
