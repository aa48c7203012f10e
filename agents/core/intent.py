"""What a customer wants, by rules: words first, because they are quick, free and explainable.

The rules are tried in order; the first that matches names the intent. Texts are compared
without case and diacritics ("não", "NAO" and "nao" are one word).
"""

from __future__ import annotations

import re
import unicodedata
from enum import StrEnum
from functools import lru_cache
from typing import Final

HUMAN: Final = "human"
"""Who answers when no agent should."""

AGENTS: Final = ("triage", "sales", "support")
"""The AI agents that a conversation can be routed to."""


class Intent(StrEnum):
    """What the customer wants."""

    WANTS_PERSON = "wants_person"
    COMPLAINT = "complaint"
    ORDER_STATUS = "order_status"
    PRODUCT = "product"
    GREETING = "greeting"


ROUTES: Final[dict[Intent | None, str]] = {
    Intent.WANTS_PERSON: HUMAN,
    Intent.COMPLAINT: "support",
    Intent.ORDER_STATUS: "support",
    Intent.PRODUCT: "sales",
    Intent.GREETING: "triage",
    None: "triage",
}
"""Who answers which intent; without an intent, the agent that already has the conversation."""

_RULES: Final[tuple[tuple[Intent, str], ...]] = (
    (
        Intent.WANTS_PERSON,
        (
            r"atendentes?|atendimento humano|ser humano"
            r"|(falar|conversar|tratar) (com|c/) (o |a |um |uma |algum |alguma )?"
            r"(pessoa|alguem|gente|humano|vendedora?|gerente|responsavel|supervisora?)"
            r"|pessoa (real|de verdade)|(nao quero|chega de|odeio|sem) (falar com )?"
            r"(o |um |esse |este )?(robo|bot|maquina)"
            r"|(talk|speak) to (a |an |some)?\s?(human|person|agent|one|someone)"
            r"|hablar con (una? )?(persona|humano|asesora?|agente)"
        ),
    ),
    (
        Intent.COMPLAINT,
        (
            r"reclam(ar|acao|acoes|o|ei)|procon|reclame aqui|absurdo|pessim[oa]|horrivel|ridiculo"
            r"|vergonha|insatisfeit[oa]s?|descaso|defeitos?|defeituos[oa]|quebrad[oa]s?"
            r"|estragad[oa]s?|danificad[oa]s?|nao funciona|parou de funcionar|ve?io errad[oa]"
            r"|errad[oa]s?|reembolso|estorn(o|ar|em)|devolver|devolucao|troca(r)?"
            r"|cobranca indevida|cobrad[oa] (duas vezes|a mais|indevidamente)|dinheiro de volta"
            r"|golpe|enganad[oa]|refund|broken|complain(t)?"
        ),
    ),
    (
        Intent.ORDER_STATUS,
        (
            r"(meu|minha|do|o|esse|este|status do|numero do) pedidos?|pedido (n|no|numero)?\s?\d+"
            r"|minha (compra|encomenda|entrega)|encomenda|rastre(io|ar|amento|ei)"
            r"|onde (esta|ta|anda)|cade|quando (vai )?(chega|chegar|entrega)|(nao|ainda nao) chegou"
            r"|nao recebi|ja (foi )?enviad[oa]|(prazo|previsao|status|data) (de|da|para) entrega"
            r"|nota fiscal|segunda via|my order|order status|tracking|mi pedido"
        ),
    ),
    (
        Intent.PRODUCT,
        (
            r"precos?|valor(es)?|quanto (custa|e|sai|fica|esta|ta|que e)|orcamentos?|cotacao"
            r"|catalogos?|comprar|compra|vendem?|promoc(ao|oes)|descontos?|ofertas?|parcel(a|as|ar|am)"
            r"|pix|boleto|cartao|formas? de pagamento|frete|estoque|disponivel|disponiveis"
            r"|produtos?|modelos?|tamanhos?|cores|voces tem|tem (o|a|os|as|em|algum|alguma)"
            r"|price|how much|buy|precio|cuanto cuesta"
        ),
    ),
    (
        Intent.GREETING,
        (
            r"o+i+e?|ola+|opa|eai|e ai|bom dia|boa tarde|boa noite|tudo bem|tudo bom|salve"
            r"|hello|hi|hey|hola|buen(os|as) (dias|tardes|noches)"
        ),
    ),
)
LOOKED_AT: Final = 4_096
"""Texts whose intent is kept in memory."""

_COMPILED: Final = tuple((name, re.compile(rf"\b(?:{rule})\b")) for name, rule in _RULES)


def plain(text: str) -> str:
    """Return the text without case, diacritics and repeated spaces, for comparing."""
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    return " ".join("".join(c for c in decomposed if not unicodedata.combining(c)).split())


# Each message of a burst is looked at again with every message that follows it.
@lru_cache(maxsize=LOOKED_AT)
def intent_of(text: str) -> Intent | None:
    """Return the first intent whose rule matches, or None."""
    words = plain(text)
    return next((name for name, rule in _COMPILED if rule.search(words)), None)


@lru_cache(maxsize=LOOKED_AT)
def asks_for_person(text: str, handoff_words: tuple[str, ...]) -> bool:
    """Say whether the customer wants a person: by rule, or by one of the tenant's words."""
    if intent_of(text) is Intent.WANTS_PERSON:
        return True
    rule = _any_of(handoff_words)
    return rule is not None and rule.search(plain(text)) is not None


@lru_cache(maxsize=1024)  # one entry for each list of words that a tenant has had
def _any_of(handoff_words: tuple[str, ...]) -> re.Pattern[str] | None:
    words = sorted(filter(None, map(plain, handoff_words)))
    return re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, words))})(?!\w)") if words else None
