"""Texts within their limits: bubbles for WhatsApp, lines for the history."""

from __future__ import annotations

from typing import Final, TypeVar

from schemas.events import Line, MessageKind

L = TypeVar("L", bound=Line)

BUBBLE_CHARS: Final = 4096
"""Longest text message. Source: WhatsApp Cloud API, "Text messages", ``body``."""

BUBBLES: Final = 16
"""Most bubbles of one answer; a longer one is a fault of the model, and each one is paid for."""

MESSAGE_CHARS: Final = 4096
"""What is kept of one message for the model; the record on the log has all of it."""

PLACEHOLDERS: Final = {
    MessageKind.IMAGE: "[imagem]",
    MessageKind.VIDEO: "[vídeo]",
    MessageKind.AUDIO: "[áudio]",
    MessageKind.DOCUMENT: "[documento]",
    MessageKind.STICKER: "[figurinha]",
    MessageKind.LOCATION: "[localização]",
    MessageKind.CONTACTS: "[contato]",
    MessageKind.ORDER: "[pedido feito pelo catálogo]",
}
"""What the model is told of a message without words."""

CORRECTION: Final = "[correção de uma mensagem já respondida]"
"""What the model is told of an edit that crossed its answer: what was done is not done again."""

MAYBE_DONE: Final = (
    "[o que o cliente pediu até aqui pode já ter sido feito: não fazer de novo sem que uma pessoa"
    " confirme]"
)
"""What the model is told of a turn that changed something and whose answer was not sent."""

NOT_REACHED: Final = "[não chegou ao cliente]"
NOT_KNOWN: Final = "[não se sabe se chegou ao cliente]"
"""What the model and people are told of a line of ours that was not sent, or may not have been."""

LINE_CHARS: Final = 1500
HISTORY_CHARS: Final = 6000
"""About 2,000 tokens of Portuguese: what the model is told of the past."""
HISTORY_LINES: Final = 40


def split(text: str, limit: int = BUBBLE_CHARS) -> tuple[str, ...]:
    """Cut a text into parts of at most ``limit`` characters, at a line or a word if possible."""
    parts = []
    rest = text.strip()
    while len(rest) > limit:
        places = (rest.rfind(end, limit // 2, limit + 1) for end in ("\n", " "))
        cut = next((place for place in places if place > 0), limit)
        parts.append(rest[:cut].rstrip())
        rest = rest[cut:].lstrip()
    return tuple(part for part in (*parts, rest) if part)


def named(kind: MessageKind, words: str) -> str:
    """Return a message as the model is told it: what it is when it is no text, and its words."""
    return " ".join(filter(None, (PLACEHOLDERS.get(kind), words)))


def corrected(text: str) -> str:
    """Return the new words of a message whose earlier ones were answered."""
    return f"{CORRECTION} {text}"


def bubbles(texts: tuple[str, ...]) -> tuple[str, ...]:
    """Return an answer's texts as bubbles that WhatsApp takes; blank ones are left out."""
    return tuple(part for text in texts for part in split(text))


def shortened(text: str, limit: int) -> str:
    """Return the text, or its beginning and an ellipsis when it is too long."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


def extended(history: tuple[L, ...], lines: tuple[L, ...]) -> tuple[L, ...]:
    """Return the history with more lines, oldest first; the newest that fit are kept."""
    kept: list[L] = []
    room = HISTORY_CHARS
    for line in reversed((*history, *lines)):
        room -= len(line.text)
        if room < 0 or len(kept) == HISTORY_LINES:
            break
        kept.append(line)
    return tuple(reversed(kept))
