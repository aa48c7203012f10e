"""What the model wrote, made safe to send: plain text, bounded, without foreign links."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

MAX_BUBBLES: Final = 3
MAX_BUBBLE_CHARS: Final = 4096
"""Source: WhatsApp Cloud API, "Text messages": a body has at most 4,096 characters."""

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\u200b\u2060\ufeff\u202a-\u202e\u2066-\u2069]")
_TOP_LEVEL = (
    "com|net|org|br|io|app|me|ly|gl|info|xyz|link|site|online|shop|store|top|club|ru|cn|co|dev|ai"
    "|cl|mx|pt|py|uy"
    r"|(?<=\.(?:com|net|org|gob|gov|edu)\.)(?:ar|bo|do|ec|es|gt|hn|mx|ni|pa|pe|pr|pt|py|sv|uk|uy|ve)"
)
"""Ends of a link without a scheme: no words, which follow a full stop without a space as well."""
_URL = re.compile(
    r"(?<![\w@.-])(?:[a-z][a-z0-9+.-]{0,63}://\S+|www\.\S+"
    rf"|(?:[a-z0-9-]+\.(?=-*[a-z0-9]))++(?:{_TOP_LEVEL})(?![\w.-]*\w)(?:[/?#]\S*)?)",
    re.IGNORECASE,
)
_MARKDOWN_LINK = re.compile(r"\[([^\[\]\n]*)\]\(([^)\[\s]*)\)")
"""Both look at each character a few times at most: a model may write anything, 12,288 times."""
_TRAILING = ".,;:!?)]}'\"»…*_>`"
_END = re.compile(r"(?:(?<=\w{3})[.…]|[!?])[\"'»)\]*_]*(?=\s)|\n")
_MARKS = re.compile(r'["\\<>`]')
"""They stand in no link: around one in JSON, which has no spaces, HTML and Markdown."""


def clean(text: str, limit: int) -> str:
    """Return text that every store and wire accepts, at most ``limit`` characters.

    Control, zero-width and direction characters go; so do lone surrogates, which
    UTF-8 cannot carry.
    """
    whole = text[: limit * 2].encode("utf-8", "replace").decode("utf-8")
    return _CONTROL.sub("", whole)[:limit]


def whole(text: str) -> str:
    """Return the whole sentences and lines of a text that was cut off anywhere.

    The rest may be half a price or half a "not". A full stop after one or two characters is an
    abbreviation's, a list's or a number's as well, so it ends nothing.
    """
    ends = [match.end() for match in _END.finditer(text)]
    return text[: ends[-1]].rstrip() if ends else ""


def links(texts: Iterable[str]) -> frozenset[str]:
    """Return the links that occur in the texts, in the form that ``bubbles`` compares.

    No link has a space in it, and each has a dot or a colon inside: no other word is searched.
    """
    words = (word for text in texts for word in _MARKS.sub(" ", text).split())
    likely = (word for word in words if "." in word[1:-1] or ":" in word[1:-1])
    return frozenset(_same(match.group()) for word in likely for match in _URL.finditer(word))


def bubbles(text: str, *, allowed: frozenset[str] = frozenset()) -> tuple[str, ...]:
    """Return the bubbles to send for an answer of the model.

    Every bubble costs money, so there is one unless the answer is longer than a
    bubble may be; then it is split at blank lines, into at most three.

    Args:
        text: What the model wrote.
        allowed: Links that may stay (see ``links``); every other link is removed.
    """
    whole = _plain(clean(text, MAX_BUBBLES * MAX_BUBBLE_CHARS), allowed)
    if not whole:
        return ()
    packed: list[str] = []
    for piece in _pieces(whole):
        if packed and len(packed[-1]) + len(piece) + 2 <= MAX_BUBBLE_CHARS:
            packed[-1] = f"{packed[-1]}\n\n{piece}"
        else:
            packed.append(piece)
    if len(packed) > MAX_BUBBLES:  # whole paragraphs leave too much room at their ends
        packed = [*_cut(whole)]
    return tuple(packed[:MAX_BUBBLES])


def _plain(text: str, allowed: frozenset[str]) -> str:
    text = _MARKDOWN_LINK.sub(r"\1 \2", text).replace("**", "*")
    text = re.sub(r"(?m)^#{1,6} +", "", text)
    text = _URL.sub(lambda match: match.group() if _same(match.group()) in allowed else "", text)
    text = re.sub(r"[ \t]{2,}", " ", text)
    return re.sub(r"\n{3,}", "\n\n", text).strip()


def _same(link: str) -> str:
    return link.rstrip(_TRAILING + "/").lower()


def _pieces(text: str) -> Iterable[str]:
    for paragraph in text.split("\n\n"):
        yield from _cut(paragraph)


def _cut(text: str) -> Iterable[str]:
    rest = text.strip()
    while len(rest) > MAX_BUBBLE_CHARS:
        at = rest.rfind(" ", 1, MAX_BUBBLE_CHARS)
        cut = at if at > 0 else MAX_BUBBLE_CHARS
        yield rest[:cut].strip()
        rest = rest[cut:].strip()
    if rest:
        yield rest
