from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any, cast

import orjson
import pytest

from schemas.events import OutcomeKind, Position, SettingsChanged
from schemas.examples import examples
from sinks.ports import Recorded
from sinks.tenants import Tenants
from streams.local.demo import shop
from streams.local.demo.cast import IGNORED, SERVED, customer, posts
from streams.local.demo.lines import Lines
from streams.local.demo.payloads import CUSTOMER, fresh, phone_number_ids, recorded
from streams.local.demo.seed import make_tenant
from streams.local.demo.verdict import known_of, rows, verdict
from streams.whatsapp import Message, parse


def strings(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [text for inner in value.values() for text in strings(inner)]
    if isinstance(value, list):
        return [text for inner in value for text in strings(inner)]
    return [value] if isinstance(value, str) else []


class Kept:
    """A shop whose settings somebody has changed."""

    async def get(self, tenant_id: str) -> SettingsChanged:
        return SettingsChanged(
            event="tenant.settings.changed",
            event_id="00000000-0000-0000-0000-000000000000",
            trace_id="0" * 32,
            tenant_id=tenant_id,
            conversation_id="",
            customer_id="",
            idempotency_key="demo:2",
            occurred_at=0,
            version=2,
            company=1,
            name="Loja Aurora",
            prompt="Vendemos sapatos.",
        )

    async def add(self, tenant_id: str, _: Mapping[str, Any]) -> None:
        raise AssertionError(f"{tenant_id} is there already")

    change = add


async def test_what_was_changed_of_the_shop_stays_at_the_next_start() -> None:
    await make_tenant(cast(Tenants, Kept()))


def test_every_shipped_body_is_played() -> None:
    names = [each.name for each in recorded()]

    assert len(names) == len(set(names)) == 120
    assert {name.split("__")[0] for name in names} == {"pywa", "netflie", "veecore", "bindambc"}


def test_two_runs_share_no_message_and_no_customer() -> None:
    def names(run: str) -> set[str]:
        return {name for post in posts(run) for m in post.sent for name in (m.wamid, m.customer)}

    assert names("first")
    assert not names("first") & names("second")


def test_equal_runs_are_equal() -> None:
    assert posts("run") == posts("run")


def test_only_names_are_rewritten() -> None:
    for each in recorded():
        before, after = strings(each.body), strings(fresh(each, "run"))
        assert len(before) == len(after)
        kept = [b == a for b, a in zip(before, after, strict=True)]
        assert sum(kept) >= len(kept) / 2


def test_a_repeated_message_of_one_body_stays_a_repetition() -> None:
    body = next(e for e in recorded() if e.name == "netflie__multiple_text_notification")

    parts = parse(orjson.dumps(fresh(body, "run")))

    assert len({part.wamid for part in parts if isinstance(part, Message)}) == 1
    assert len(parts) == 2


def test_business_numbers_are_digits_and_belong_to_the_shop() -> None:
    numbers = phone_number_ids()

    for post in posts("run"):
        for part in parse(post.body):
            assert part.phone_number_id is None or part.phone_number_id in numbers
    assert all(number.isdigit() for number in numbers)


def test_customers_get_invented_numbers() -> None:
    people = [
        part.sender.wa_id
        for post in posts("run")
        for part in parse(post.body)
        if isinstance(part, Message) and part.sender.wa_id
    ]

    assert people
    assert all(number.startswith(CUSTOMER) and number.isdigit() for number in people)


def test_messages_without_words_expect_no_answer() -> None:
    expects = {post.name: {m.expects for m in post.sent} for post in posts("run")}

    assert expects["pywa__message/reaction"] == {IGNORED}
    assert expects["pywa__message/unsupported"] == {IGNORED}
    assert expects["pywa__deleted_message/revoke"] == {IGNORED}
    assert expects["pywa__system/identity_change"] == {IGNORED}
    assert expects["pywa__message/image"] == {SERVED}
    assert expects["pywa__message/text"] == {SERVED}
    assert expects["pywa__message_status/sent"] == set()


def test_a_customer_of_the_scene_is_new_in_each_run() -> None:
    assert customer("Ana", "1") == customer("Ana", "1")
    assert len({customer(n, r).phone for n in ("Ana", "Bruno") for r in ("1", "2")}) == 4


def test_the_shop_has_what_the_scene_asks_for() -> None:
    today = dt.date(2026, 1, 2)

    assert {order.order_number for order in shop.orders(today)} >= {"1001", "1002", "1003"}
    assert shop.orders(today)[0].eta == dt.date(2026, 1, 4)
    assert [source for source, _ in shop.knowledge()] == [
        "entregas.md", "loja.md", "pagamento.md", "trocas.md",
    ]  # fmt: skip
    assert all("# " in text for _, text in shop.knowledge())
    assert shop.settings()["language"] == "pt-BR"
    assert shop.products()


@pytest.mark.parametrize("example", examples(), ids=lambda example: example.name)
def test_every_record_has_a_line(example: Any) -> None:
    place = Position(topic=example.event.event, partition=3, offset=17)

    line = Lines().line(Recorded(event=example.event, position=place))

    assert f"{example.event.event} 3@17" in line
    assert "\n" not in line


def test_a_line_says_how_long_since_its_cause() -> None:
    lines = Lines()
    changed = next(e.event for e in examples() if type(e.event).__name__ == "ConversationChanged")
    assert changed.cause is not None
    cause = Position(
        topic=changed.cause.topic,
        partition=changed.cause.partition,
        offset=changed.cause.offset,
    )
    place = Position(topic=changed.event, partition=0, offset=0)
    lines.times[cause] = max(changed.occurred_at, changed.cause.decided_at) - 42

    assert lines.line(Recorded(event=changed, position=place)).endswith(" +42 ms")


def test_a_message_without_an_outcome_fails_the_demo() -> None:
    made = [customer("Ana", "run").says("Oi", 1, frozenset({OutcomeKind.ANSWERED}), 1000)]

    known = known_of(made, [], [])
    found = verdict(known, [], {"conversations": 0, "outcomes": 0, "sent": 0})

    assert [(v.rule, v.about) for v in found] == [
        ("on_the_log", made[0].sent[0].wamid),
        ("one_outcome", made[0].sent[0].wamid),
        ("postgres", "outcomes"),
    ]
    assert [(row.outcome, row.bubbles) for row in rows(made, known)] == [("none", 0)]
