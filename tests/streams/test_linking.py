from __future__ import annotations

import asyncio

import pytest

from agents.ports import Accepted, Letter, Receipt, Refused
from schemas.errors import Unavailable
from streams import linking
from streams.linking import LinkingCourier

CONVERSATION = "conv_" + "a" * 32
LETTER = Letter(
    tenant_id="shop",
    phone_number_id="1122",
    wa_id=None,
    user_id="BR.1349",
    text="oi",
    reply_to_wamid=None,
    callback_data=f"v1|shop|{CONVERSATION}|cust_{'b' * 32}|0eae1346-da6a|1",
)


class Answering:
    def __init__(self, receipt: Receipt) -> None:
        self.receipt = receipt

    async def post(self, _: Letter, /, *, until_ms: int) -> Receipt:
        assert until_ms
        return self.receipt


class People:
    def __init__(self, down: Exception | None = None, *, silent: bool = False) -> None:
        self.down = down
        self.silent = silent
        self.linked: list[tuple[str, str, str, str]] = []

    async def link(
        self, tenant_id: str, phone_number_id: str, conversation_id: str, identifier: str, /
    ) -> None:
        if self.silent:
            await asyncio.sleep(3600)
        if self.down is not None:
            raise self.down
        self.linked.append((tenant_id, phone_number_id, conversation_id, identifier))


async def test_the_number_behind_a_user_id_leads_to_the_same_conversation() -> None:
    people = People()

    await LinkingCourier(Answering(Accepted(wamid="w", wa_id="5511987654321")), people).post(
        LETTER, until_ms=1
    )

    assert people.linked == [("shop", "1122", CONVERSATION, "wa:551187654321")]


@pytest.mark.parametrize(
    "receipt",
    [
        Accepted(wamid="w"),  # the answer names nobody
        Refused(code=131026, status=400),  # it was not taken
    ],
)
async def test_nothing_is_learned_without_a_name(receipt: Receipt) -> None:
    people = People()

    await LinkingCourier(Answering(receipt), people).post(LETTER, until_ms=1)

    assert people.linked == []


@pytest.mark.parametrize(
    "people",
    [
        People(Unavailable("postgres")),
        People(LookupError("nobody foresaw it")),
        People(silent=True),
    ],
    ids=["down", "unforeseen", "silent"],
)
async def test_a_sent_message_stays_sent_when_nothing_can_be_learned(
    people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its claim is taken: whoever tried again would take it for one of unknown result."""
    monkeypatch.setattr(linking, "LINK_S", 0.01)
    accepted = Accepted(wamid="w", wa_id="5511987654321")

    async with asyncio.timeout(30):
        receipt = await LinkingCourier(Answering(accepted), people).post(LETTER, until_ms=1)

    assert receipt == accepted
