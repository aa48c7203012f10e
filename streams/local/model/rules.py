"""The rules of ``offline-rules``: one request -> words or tools, the same every time."""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from streams.local.model.reading import Request, plain, words


def _set(text: str) -> frozenset[str]:
    return frozenset(text.split())


STOPWORDS: Final = _set(
    "a o e as os um uma de da do das dos em no na nos nas para por com que qual quais quanto"
    " quanta quantos como onde quando voce voces eu meu minha meus minhas me se ja ou mas ao"
    " tem ter tenho quero queria gostaria saber preciso pode podem poderia ola oi bom boa dia"
    " tarde noite favor the is are do you i my what how much it to of in and for have"
)
PERSON: Final = _set(
    "atendente humano pessoa human person gerente reclamacao reclamar procon advogado"
    " pessimo absurdo enganado"
)
REQUEST: Final = {
    "exchange": _set("troca trocar exchange"),
    "refund": _set("reembolso estorno devolver devolucao refund"),
    "defect": _set("defeito quebrado quebrou rasgado estragado garantia broken"),
}
PRODUCT: Final = _set(
    "preco precos custa custam valor vende vendem comprar produto produtos estoque disponivel"
    " catalogo modelo modelos price sell buy stock"
)
GREETING: Final = _set("oi ola bom boa hello hi opa eae")
ORDER = re.compile(r"(?:pedido|order|encomenda|compra)\D{0,20}?#?(\d{3,20})|#(\d{3,20})")

HELLO: Final = (
    "Olá! Como posso ajudar?",
    "Oi! Em que posso ajudar você hoje?",
    "Olá! Conte para mim o que você precisa.",
)
UNSURE: Final = "Não encontrei essa informação. Você pode me dar mais detalhes?"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What the rules answer.

    Attributes:
        text: Words; empty when a tool is asked for.
        tool: Name of the tool to ask for.
        arguments: Its arguments.
        cut: Whether a limit ended the words.
    """

    text: str = ""
    tool: str = ""
    arguments: Mapping[str, Any] | None = None
    cut: bool = False


def answer(request: Request, *, seed: int = 0) -> Reply:
    """Return the reply to a request.

    Args:
        request: What was asked.
        seed: Chooses among greetings of the same meaning.
    """
    if request.results:
        return Reply(text="\n".join(_told(name, said) for name, said in request.results))
    if tool := _tool(request):
        return tool
    if found := best_sentence(request.question, request.passages):
        return Reply(text=found)
    asked = words(request.question)
    if asked and set(asked) <= GREETING | STOPWORDS:
        return Reply(text=HELLO[(zlib.crc32(request.question.encode()) + seed) % len(HELLO)])
    return _transfer(request) or Reply(text=UNSURE)


def best_sentence(question: str, passages: tuple[str, ...]) -> str:
    """Return the sentence that shares most words with the question, and the one after it."""
    wanted = {_stem(word) for word in words(question) if word not in STOPWORDS}
    best, shared_most = "", 0
    for passage in passages:
        sentences = re.split(r"(?<=[.!?])\s+", passage.strip())
        for place, sentence in enumerate(sentences):
            shared = len(wanted & {_stem(word) for word in words(sentence)})
            if shared > shared_most:
                best, shared_most = " ".join(sentences[place : place + 2]), shared
    return best


def _tool(request: Request) -> Reply | None:
    """Return the tool that the question's words ask for, if it may be asked for."""
    asked = set(words(request.question))
    if asked & PERSON and (reply := _transfer(request)):
        return reply
    order = ORDER.search(plain(request.question))
    if order and "order_status" in request.tools:
        return Reply(tool="order_status", arguments={"order_number": order[1] or order[2]})
    for kind, signs in REQUEST.items():
        if asked & signs and "open_ticket" in request.tools:
            summary = request.question[:300]
            return Reply(tool="open_ticket", arguments={"kind": kind, "summary": summary})
    if asked & PRODUCT and "search_catalogue" in request.tools:
        query = " ".join(word for word in words(request.question) if word not in _NO_PRODUCT)
        return Reply(tool="search_catalogue", arguments={"query": query[:200] or "produtos"})
    return None


_NO_PRODUCT = STOPWORDS | PRODUCT


def _transfer(request: Request) -> Reply | None:
    if "transfer_to_person" not in request.tools:
        return None
    summary = request.question[:300] or "O cliente pede uma pessoa."
    return Reply(tool="transfer_to_person", arguments={"summary": summary})


def _told(tool: str, said: Mapping[str, Any]) -> str:
    """Return what a tool gave, as a sentence."""
    sentence = UNSURE
    match said:
        case {"products": [_, *_] as products}:
            sentence = "Encontrei: " + "; ".join(_product(row) for row in products[:3]) + "."
        case {"products": []}:
            sentence = "Não encontrei esse produto no catálogo."
        case {"order_number": number, "status": status, **rest}:
            sentence = f"O pedido {number} está {status}{_day(rest.get('eta'))}."
        case {"ticket": number}:
            sentence = f"Abri a solicitação {number}. Nossa equipe vai entrar em contato."
        case {"error": "not_found"}:
            sentence = "Não encontrei um pedido com esse número. Pode conferir, por favor?"
        case {"error": _}:
            sentence = "Não consegui consultar agora. Você pode tentar de novo em instantes?"
        case _ if tool and said:
            sentence = json.dumps(said, ensure_ascii=False)[:400]
    return sentence


def _product(row: Mapping[str, Any]) -> str:
    price = str(row.get("price", "")).replace(".", ",")
    money = "R$ " if row.get("currency") == "BRL" else f"{row.get('currency', '')} "
    stock = "em estoque" if row.get("in_stock") else "sem estoque no momento"
    return f"{row.get('name', '')} por {money}{price} ({stock})"


def _day(eta: Any) -> str:
    match = re.fullmatch(r"(\d{4})-(\d{2})-(\d{2})", str(eta or ""))
    return f", com entrega prevista para {match[3]}/{match[2]}/{match[1]}" if match else ""


def _stem(word: str) -> str:
    """Return a word without its ending, so that singular and plural meet."""
    return word[:5]
