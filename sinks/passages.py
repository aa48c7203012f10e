"""Documents to passages: pure."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import msgspec

from schemas.ids import derived
from schemas.passage import NOTED_BYTES, SHOWN_CHARS

PASSAGE_CHARS: Final = 1_000
"""About 250 tokens: five passages fit a prompt beside its history."""
LEAST_SHARE: Final = 2
"""The AI is to be shown all of a passage with its headings; however long these are, they leave it
this part."""

HEADING: Final = re.compile(r"^#{1,6}\s+(.*)$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """A piece of a document.

    Attributes:
        source: Name of the document.
        ordinal: Its place in the document, from 1.
        body: Its words, after the headings that it stands under.
    """

    source: str
    ordinal: int
    body: str

    @property
    def sha256(self) -> str:
        """Hash of its words, hex."""
        return hashlib.sha256(self.body.encode()).hexdigest()

    def passage_id(self, tenant_id: str) -> str:
        """Id of the passage; the same words of a tenant have the same id."""
        return derived("passage", tenant_id, self.sha256)


def chunks(source: str, text: str) -> tuple[Chunk, ...]:
    """Return a Markdown or plain text in pieces of whole paragraphs, each under its headings.

    Args:
        source: Name of the document.
        text: Its words; a paragraph that is too long is cut at a space.
    """
    sections = [*_sections(text.replace("\x00", ""))]
    found = []
    for (trail, paragraphs), (below, _) in zip(sections, [*sections[1:], ((), [])], strict=True):
        title = " / ".join(filter(None, trail))
        pieces = [*_packed(paragraphs, _Room.under(title))]
        if not pieces and title and below[: len(trail)] != trail:
            found.append(title)  # a heading that says it all
        found += [f"{title}\n{piece}" if title else piece for piece in pieces]
    return tuple(
        Chunk(source=source, ordinal=ordinal, body=body) for ordinal, body in enumerate(found, 1)
    )


def _sections(text: str) -> Iterator[tuple[tuple[str, ...], list[str]]]:
    """Yield the headings above each run of paragraphs, and the run."""
    trail: list[str] = []
    paragraphs: list[str] = []
    for block in re.split(r"\n\s*\n|(?m:(?=^#{1,6}\s))", text):
        heading, _, rest = block.strip().partition("\n")
        match = HEADING.match(heading)
        if match is None:
            paragraphs.append(block.strip())
            continue
        yield tuple(trail), paragraphs
        depth = len(heading) - len(heading.lstrip("#"))
        trail = [*trail[: depth - 1], match[1].strip()]
        paragraphs = [rest.strip()]
    yield tuple(trail), paragraphs


@dataclass(frozen=True, slots=True, kw_only=True)
class _Room:
    """How much one piece may have.

    Attributes:
        chars: Most characters.
        size: Most bytes of JSON.
    """

    chars: int
    size: int

    @classmethod
    def under(cls, title: str) -> _Room:
        """Return the room that a title leaves."""
        above = f"{title}\n" if title else ""
        return cls(
            chars=max(min(PASSAGE_CHARS, SHOWN_CHARS - len(above)), SHOWN_CHARS // LEAST_SHARE),
            size=max(NOTED_BYTES - _size(above), NOTED_BYTES // LEAST_SHARE),
        )

    def end(self, text: str) -> int:
        """Return how many characters of a text fit."""
        end = min(len(text), self.chars)
        while (excess := _size(text[:end]) - self.size) > 0:
            end -= max(1, excess // 6)  # a character has at most 6 bytes
        return end


def _size(text: str) -> int:
    return len(msgspec.json.encode(text)) - 2


def _packed(paragraphs: list[str], room: _Room) -> Iterator[str]:
    """Yield the paragraphs, as many together as fit."""
    open_piece = ""
    for paragraph in paragraphs:
        for part in _cut(paragraph, room):
            together = f"{open_piece}\n\n{part}" if open_piece else part
            if room.end(together) == len(together):
                open_piece = together
            else:
                yield open_piece
                open_piece = part
    if open_piece:
        yield open_piece


def _cut(paragraph: str, room: _Room) -> Iterator[str]:
    while (most := room.end(paragraph)) < len(paragraph):
        space = paragraph.rfind(" ", 0, most)
        end = space if space > 0 else most
        yield paragraph[:end]
        paragraph = paragraph[end:].lstrip()
    if paragraph:
        yield paragraph
