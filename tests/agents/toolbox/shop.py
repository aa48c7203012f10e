"""A shop in memory, which remembers who asked for what."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Shop:
    """Products, orders and requests; ``asked`` holds tenant, customer and what was asked."""

    asked: list[tuple[str, ...]] = field(default_factory=list)
    orders: dict[tuple[str, str], str] = field(
        default_factory=lambda: {("cust_1", "100"): "enviado", ("cust_2", "200"): "secreto"}
    )
    requests: dict[str, str] = field(default_factory=dict)

    async def search(
        self, tenant_id: str, words: str, /, *, limit: int
    ) -> Sequence[Mapping[str, Any]]:
        self.asked.append((tenant_id, "search", words))
        product = {"sku": "T", "name": "Tênis", "description": "", "price_cents": 100}
        return [{**product, "currency": "BRL", "stock": 1}][:limit]

    async def order(
        self, tenant_id: str, customer_id: str, order_number: str, /
    ) -> Mapping[str, Any] | None:
        self.asked.append((tenant_id, customer_id, order_number))
        status = self.orders.get((customer_id, order_number))
        if status is None:
            return None
        return {"order_number": order_number, "status": status, "eta": dt.date(2026, 2, 1)}

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
        self.asked.append((tenant_id, customer_id, conversation_id, kind))
        self.requests[call_id] = summary
        return 1000 + len(self.requests)
