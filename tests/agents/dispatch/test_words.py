from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.core import seen
from agents.core.intent import AGENTS, HUMAN, ROUTES, Intent, asks_for_person, intent_of
from agents.core.texts import (
    BUBBLE_CHARS,
    HISTORY_CHARS,
    HISTORY_LINES,
    bubbles,
    extended,
    shortened,
    split,
)
from schemas.events import Line

DAY = seen.DAY_MS


@pytest.mark.parametrize(
    ("text", "intent"),
    [
        ("Cadê meu pedido?", Intent.ORDER_STATUS),
        ("MEU PEDIDO 1234 AINDA NÃO CHEGOU", Intent.ORDER_STATUS),
        ("qual o código de rastreio", Intent.ORDER_STATUS),
        ("pedido nº 991 quando chega?", Intent.ORDER_STATUS),
        ("Quanto custa o tênis azul?", Intent.PRODUCT),
        ("tem em estoque?", Intent.PRODUCT),
        ("vocês têm desconto no PIX", Intent.PRODUCT),
        ("qual o preço", Intent.PRODUCT),
        # A complaint is about an order too: the stricter rule comes first.
        ("meu pedido veio quebrado, quero reembolso", Intent.COMPLAINT),
        ("isso é um ABSURDO", Intent.COMPLAINT),
        ("quero fazer uma reclamação", Intent.COMPLAINT),
        # Wanting a person goes before everything else.
        ("quero reclamar com um atendente", Intent.WANTS_PERSON),
        ("quero falar com alguém", Intent.WANTS_PERSON),
        ("não quero falar com robô", Intent.WANTS_PERSON),
        ("can I talk to a human?", Intent.WANTS_PERSON),
        ("Oi", Intent.GREETING),
        ("oiiii bom dia!!", Intent.GREETING),
        ("olá, tudo bem?", Intent.GREETING),
        # A greeting with a question is the question.
        ("Bom dia, qual o valor do frete?", Intent.PRODUCT),
        ("azul", None),
        ("", None),
        ("🤔", None),
        # Rules match words, not parts of them.
        ("precocidade", None),
        ("foi", None),
    ],
)
def test_rules_find_the_intent(text: str, intent: Intent | None) -> None:
    assert intent_of(text) is intent


def test_every_intent_has_a_route() -> None:
    assert set(ROUTES) == {*Intent, None}
    assert set(ROUTES.values()) == {*AGENTS, HUMAN}


@pytest.mark.parametrize(
    ("text", "words", "wanted"),
    [
        ("me passa pro Atendente", ("atendente",), True),
        ("HUMANO", ("humano",), True),
        ("sou desumano", ("humano",), False),  # part of a word
        ("quero a gerência", ("gerencia",), True),  # accents do not matter
        ("c++ por favor", ("c++",), True),  # a word is text, not a pattern
        ("oi", ("", "  "), False),  # blank words match nothing
        ("quero falar com uma pessoa", (), True),  # the rule needs no words
        ("oi", (), False),
    ],
)
def test_a_tenants_words_ask_for_a_person(text: str, words: tuple[str, ...], wanted: bool) -> None:
    assert asks_for_person(text, words) is wanted


@given(st.text(max_size=20_000))
def test_no_text_breaks_the_rules(text: str) -> None:
    assert intent_of(text) in ROUTES


@given(st.text(max_size=400), st.integers(1, 50))
def test_split_keeps_every_word_within_the_limit(text: str, limit: int) -> None:
    parts = split(text, limit)

    assert all(0 < len(part) <= limit for part in parts)
    assert "".join("".join(parts).split()) == "".join(text.split())


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("um dois tres", ("um dois", "tres")),  # at a word
        ("umdois\ne tres", ("umdois", "e tres")),  # a line end is the better place
        ("abcdefghijkl", ("abcdefghij", "kl")),  # no place: at the limit
        ("   ", ()),
        ("0123456789", ("0123456789",)),
    ],
)
def test_a_text_is_cut_where_it_reads_best(text: str, parts: tuple[str, ...]) -> None:
    assert split(text, 10) == parts


def test_blank_bubbles_are_left_out() -> None:
    assert bubbles(("a", " ", "", "b" * (BUBBLE_CHARS + 1))) == ("a", "b" * BUBBLE_CHARS, "b")


def test_a_long_text_ends_in_an_ellipsis() -> None:
    assert (shortened("abcdef", 4), shortened("abcd", 4)) == ("abc…", "abcd")


@given(st.lists(st.text(max_size=2000)))
def test_the_history_keeps_the_newest_lines_that_fit(texts: list[str]) -> None:
    lines = tuple(Line(role="customer", text=text, at=i) for i, text in enumerate(texts))

    kept = extended((), lines)

    assert kept == lines[len(lines) - len(kept) :]
    assert len(kept) <= HISTORY_LINES
    assert sum(len(line.text) for line in kept) <= HISTORY_CHARS
    assert extended(extended((), lines[:3]), lines[3:]) == kept


@given(st.lists(st.text(), unique=True), st.lists(st.text()))
def test_what_was_remembered_is_known_and_nothing_else(ids: list[str], others: list[str]) -> None:
    buckets: dict[str, str] = {}
    for each in ids:
        buckets = seen.remember(buckets, each, now_ms=1)

    assert all(seen.knows(buckets, each) for each in ids)
    assert not any(seen.knows(buckets, each) for each in others if each not in ids)


def test_a_hit_across_two_ids_is_no_hit() -> None:
    whole = seen.packed("x")
    straddling = {"0": f"{'A' * 6}{whole}{'A' * 6}"}

    assert not seen.knows(straddling, "x")
    assert seen.knows({"0": straddling["0"] + whole}, "x")


def test_an_id_is_kept_as_long_as_whatsapp_may_deliver_it_again() -> None:
    buckets = seen.remember({}, "late", now_ms=100 * DAY)

    week_later = seen.remember(buckets, "other", now_ms=107 * DAY + DAY - 1)
    nine_days_later = seen.remember(buckets, "other", now_ms=108 * DAY)

    assert seen.knows(week_later, "late")
    assert not seen.knows(nine_days_later, "late")


def test_the_oldest_ids_go_first_when_there_are_too_many() -> None:
    buckets: dict[str, str] = {}
    for number in range(30):
        buckets = seen.remember(buckets, str(number), now_ms=number // 8 * DAY, limit=10)

    assert [number for number in range(30) if seen.knows(buckets, str(number))] == list(
        range(20, 30)
    )
