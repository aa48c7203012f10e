from __future__ import annotations

import datetime as dt
from collections.abc import AsyncIterator

import pytest

from agents.ports import ToolCaller
from agents.toolbox import shipped
from schemas.errors import Unavailable
from sinks.catalogue import Catalogue, Order, Product
from sinks.database import open_pool
from sinks.migrations import migrate

pytestmark = pytest.mark.integration

SHOES = Product(
    sku="TEN-42",
    name="Tênis Azul Corrida",
    description="Leve, para corridas longas",
    price_cents=19990,
    stock=3,
)
SHIRT = Product(sku="CAM-1", name="Camisetas de algodão", price_cents=4990)
SECRET = Product(sku="TEN-1", name="Tênis secreto", price_cents=1, stock=1)


@pytest.fixture
async def catalogue(postgres_dsn: str) -> AsyncIterator[Catalogue]:
    pool = await open_pool(postgres_dsn)
    await migrate(pool)
    given = Catalogue(pool)
    await given.put_products("loja", [SHOES, SHIRT])
    await given.put_products("outra", [SECRET])
    await given.put_orders(
        "loja",
        [
            Order(
                order_number="100", customer_id="cust_1", status="enviado", eta=dt.date(2026, 2, 1)
            ),
            Order(order_number="200", customer_id="cust_2", status="pago"),
            Order(order_number="300", status="separando"),
        ],
    )
    await given.put_orders("outra", [Order(order_number="900", status="secreto")])
    yield given
    await pool.close()


@pytest.mark.parametrize(
    ("words", "skus"),
    [
        ("tênis", ["TEN-42"]),
        ("TENIS", ["TEN-42"]),  # accents and case do not matter
        ("vocês têm camiseta?", ["CAM-1"]),  # nor does the ending of a word
        ("corrida longa", ["TEN-42"]),
        ("ten-42", ["TEN-42"]),
        ("geladeira", []),
        ("%", []),  # no pattern
        ("'; DROP TABLE products; --", []),
        ("", ["TEN-42", "CAM-1"]),
    ],
)
async def test_products_are_found_by_the_customers_words(
    catalogue: Catalogue, words: str, skus: list[str]
) -> None:
    rows = await catalogue.search("loja", words, limit=5)

    assert [row["sku"] for row in rows] == skus


async def test_a_tenant_sees_its_own_rows_only(catalogue: Catalogue) -> None:
    assert [row["sku"] for row in await catalogue.search("outra", "tenis", limit=5)] == ["TEN-1"]
    assert await catalogue.order("loja", "cust_1", "900") is None
    assert await catalogue.search("nenhuma", "tenis", limit=5) == []


@pytest.mark.parametrize(
    ("customer", "number", "status"),
    [
        ("cust_1", "100", "enviado"),
        ("cust_2", "100", None),  # somebody else's order looks like none
        ("cust_1", "300", "separando"),  # no customer's yet: the number is enough
        ("cust_1", "999", None),
    ],
)
async def test_whose_order_it_is_decides_what_is_told(
    catalogue: Catalogue, customer: str, number: str, status: str | None
) -> None:
    row = await catalogue.order("loja", customer, number)

    assert (row["status"] if row else None) == status


async def test_the_same_call_opens_one_request(catalogue: Catalogue) -> None:
    async def request(call_id: str) -> int:
        return await catalogue.request(
            "loja", "conv_1", "cust_1", call_id, kind="defect", summary="rasgou"
        )

    first = await request("call-1")

    assert await request("call-1") == first
    assert await request("call-2") != first


async def test_a_product_that_is_put_again_is_replaced(catalogue: Catalogue) -> None:
    await catalogue.put_products("loja", [Product(sku="TEN-42", name="Bota", price_cents=1)])

    assert [row["name"] for row in await catalogue.search("loja", "bota", limit=5)] == ["Bota"]
    await catalogue.put_products("loja", [SHOES])


async def test_the_shipped_tools_work_on_real_rows(catalogue: Catalogue) -> None:
    tools = shipped(catalogue)
    caller = ToolCaller(
        tenant_id="loja", conversation_id="conv_1", customer_id="cust_1", call_id="call-9"
    )

    found = await tools["search_catalogue"].run(caller, {"query": "tenis"})
    order = await tools["order_status"].run(caller, {"order_number": "#100"})
    foreign = await tools["order_status"].run(caller, {"order_number": "200"})
    ticket = await tools["open_ticket"].run(caller, {"kind": "defect", "summary": "rasgou"})

    assert found.content["products"][0] == {
        "sku": "TEN-42",
        "name": "Tênis Azul Corrida",
        "description": "Leve, para corridas longas",
        "price": "199.90",
        "currency": "BRL",
        "in_stock": True,
    }
    assert order.content == {"order_number": "100", "status": "enviado", "eta": "2026-02-01"}
    assert (foreign.ok, foreign.error) == (False, "not_found")
    assert ticket.ok
    assert ticket.content["ticket"] > 1000


async def test_while_postgres_is_down_the_tools_say_so(postgres_dsn: str) -> None:
    pool = await open_pool(postgres_dsn.rsplit("/", 1)[0].rsplit(":", 1)[0] + ":1/x")

    with pytest.raises(Unavailable, match="postgres"):
        await Catalogue(pool).search("loja", "x", limit=1)
    await pool.close()
