"""What of a long request a small model gets to read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from streams.local.model.reading import content_of, read

ORDER: Final = (
    "Você é atendente de uma loja. Responda à pergunta em português, em uma frase curta,"
    " só com o que está no texto."
)
"""Takes the place of the rules of the ai stage: they are about tools, and longer than the
passages."""
FRAME: Final = (
    "Texto:\n{0}\n\nPergunta: {1}\n\nCopy the one sentence of the text that answers the question."
)
"""English at the end, the model's language, keeps it from repeating itself."""
QUESTION_SHARE: Final = 3
"""A question may fill this part of the room, one third; so may a system message."""
_ROLES: Final = frozenset({"system", "user", "assistant"})

Message = dict[str, str]


def shorten(body: Mapping[str, Any], chars: int) -> list[Message]:
    """Return the messages of a request, within a number of characters.

    A request of the ai stage, known by its marks, becomes its passages and its question. Of any
    other one the newest messages stay whole as far as there is room, after the system message;
    tools and their results are left out.

    Args:
        body: The chat request; whatever is malformed counts as absent.
        chars: Most characters of all contents together.
    """
    asked = read(body)
    if asked.marked:
        return _about(asked.question, "\n".join(asked.passages), chars)
    said = [_message(each) for each in body.get("messages", ()) if isinstance(each, Mapping)]
    said = [each for each in said if each["role"] in _ROLES and each["content"]]
    system = [each for each in said if each["role"] == "system"][:1]
    rest = [each for each in said if each["role"] != "system"]
    kept = [_cut(each, chars // QUESTION_SHARE) for each in system]
    room = chars - sum(len(each["content"]) for each in kept)
    return kept + (_newest(rest, room) or [{"role": "user", "content": "Oi"[:room]}])


def _about(question: str, passages: str, chars: int) -> list[Message]:
    asked = question[: chars // QUESTION_SHARE]
    system = ORDER[: chars // QUESTION_SHARE]
    frame = FRAME if passages else "{0}{1}"
    room = max(chars - len(system) - len(frame.format("", asked)), 0)
    return [
        {"role": "system", "content": system},
        {"role": "user", "content": frame.format(passages[:room], asked)[: chars - len(system)]},
    ]


def _newest(said: list[Message], chars: int) -> list[Message]:
    """Return the newest messages that there is room for; the last one is cut, never dropped."""
    kept: list[Message] = []
    for each in reversed(said):
        fits = len(each["content"]) <= chars
        if not fits and kept:
            break
        kept.append(each if fits else _cut(each, chars))
        chars -= len(each["content"])
    return kept[::-1]


def _cut(message: Message, chars: int) -> Message:
    return {**message, "content": message["content"][: max(chars, 1)]}


def _message(said: Mapping[str, Any]) -> Message:
    return {"role": str(said.get("role")), "content": content_of(said)}
