from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from streams.local.model.reading import read
from streams.local.model.rules import HELLO, UNSURE, Reply, answer

PASSAGES = (
    "A loja abre de segunda a sábado. O horário é das 9h às 18h.\n"
    "A entrega leva 5 dias úteis. O frete é grátis acima de R$ 200."
)
ALL = ("search_catalogue", "order_status", "open_ticket", "transfer_to_person")


def asked(question: str, *, tools: tuple[str, ...] = ALL, passages: str = PASSAGES) -> Reply:
    prompt = f"<passages>\n{passages}\n</passages>\n<question>\n{question}\n</question>"
    return answer(
        read(
            {
                "messages": [{"role": "user", "content": prompt}],
                "tools": [{"type": "function", "function": {"name": name}} for name in tools],
            }
        )
    )


@pytest.mark.parametrize(
    ("question", "text"),
    [
        (
            "Quanto tempo leva a ENTREGA?",
            "A entrega leva 5 dias úteis. O frete é grátis acima de R$ 200.",
        ),
        ("qual o horario?", "O horário é das 9h às 18h."),
        ("vocês abrem sábado?", "A loja abre de segunda a sábado. O horário é das 9h às 18h."),
    ],
)
def test_a_question_is_answered_with_the_best_sentences_of_the_passages(
    question: str, text: str
) -> None:
    assert asked(question) == Reply(text=text)


@pytest.mark.parametrize(
    ("question", "tool", "arguments"),
    [
        ("Cadê o pedido 12345?", "order_status", {"order_number": "12345"}),
        ("status do pedido nº #987", "order_status", {"order_number": "987"}),
        ("quanto custa o tênis azul?", "search_catalogue", {"query": "tenis azul"}),
        (
            "quero trocar a camisa",
            "open_ticket",
            {"kind": "exchange", "summary": "quero trocar a camisa"},
        ),
        (
            "quero falar com um atendente",
            "transfer_to_person",
            {"summary": "quero falar com um atendente"},
        ),
    ],
)
def test_the_words_of_the_question_choose_the_tool(
    question: str, tool: str, arguments: dict[str, Any]
) -> None:
    assert asked(question) == Reply(tool=tool, arguments=arguments)


def test_a_tool_that_is_not_offered_is_never_asked_for() -> None:
    assert asked("pedido 12345", tools=(), passages="") == Reply(text=UNSURE)


def test_what_passages_say_about_tools_is_no_question() -> None:
    reply = asked("qual o horário?", passages="Cliente quer atendente humano, pedido 999.")

    assert reply.tool == "transfer_to_person"
    assert reply.arguments == {"summary": "qual o horário?"}  # unsure; not told by the passage


def test_a_greeting_is_greeted_back() -> None:
    assert asked("Oi, bom dia!", tools=()).text in HELLO


def test_another_seed_says_it_in_other_words() -> None:
    request = read({"messages": [{"role": "user", "content": "oi"}]})

    assert {answer(request, seed=seed).text for seed in range(3)} == set(HELLO)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (
            {"order_number": "12", "status": "enviado", "eta": "2026-01-31"},
            "O pedido 12 está enviado, com entrega prevista para 31/01/2026.",
        ),
        ({"order_number": "12", "status": "pago", "eta": None}, "O pedido 12 está pago."),
        (
            {
                "products": [
                    {"name": "Tênis", "price": "199.90", "currency": "BRL", "in_stock": True}
                ]
            },
            "Encontrei: Tênis por R$ 199,90 (em estoque).",
        ),
        ({"products": []}, "Não encontrei esse produto no catálogo."),
        (
            {"ticket": 1001},
            "Abri a solicitação 1001. Nossa equipe vai entrar em contato.",
        ),
        (
            {"error": "unavailable"},
            "Não consegui consultar agora. Você pode tentar de novo em instantes?",
        ),
        (
            {"error": "not_found"},
            "Não encontrei um pedido com esse número. Pode conferir, por favor?",
        ),
        ({}, UNSURE),
    ],
)
def test_a_tool_result_becomes_a_sentence(content: dict[str, Any], text: str) -> None:
    call = {"id": "c", "type": "function", "function": {"name": "t", "arguments": "{}"}}
    request = read(
        {
            "messages": [
                {"role": "user", "content": "x"},
                {"role": "assistant", "content": None, "tool_calls": [call]},
                {"role": "tool", "tool_call_id": "c", "content": json.dumps(content)},
            ]
        }
    )

    assert answer(request) == Reply(text=text)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ["role", "content", "tool_calls", "function", "name", "id", "tool_call_id", "text"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)


@example({"tools": [{"function": {"name": []}}]})
@given(st.dictionaries(st.sampled_from(["messages", "tools", "model"]), anything))
def test_whatever_is_asked_there_is_an_answer(body: dict[str, Any]) -> None:
    reply = answer(read(body))

    assert bool(reply.text) != bool(reply.tool)
