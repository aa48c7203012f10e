"""The 24 h window of a bubble: until when it may wait, and what is sent when it has closed."""

from __future__ import annotations

from typing import Final

from agents.core.gate import Bubble, Gate
from agents.ports.whatsapp import Template
from schemas.changing import replace
from schemas.events import SettingsChanged

PARAMETER_CHARS: Final = 1024
"""Source: WhatsApp Cloud API, "Templates", body text; a parameter has no line breaks or tabs."""

WINDOW_CLOSING: Final = "window_closing"
"""Why a bubble is given to a person although its window is still open."""
TEMPLATE_UNSENT: Final = "template_unsent"
"""Why a bubble is given to a person that a template should have carried."""
LONGEST_WAIT_MS: Final = 24 * 3_600_000
"""After this long a bubble is not sent any more: no window can still be open."""
PERSON_MARGIN_MS: Final = 15 * 60_000
"""What a person has to see a bubble that could not be sent, and to answer in its place.

What waited for a day loses nothing by it; in WhatsApp's own time dispatch's margin comes on top.
As long after the window a template is tried: then its words are a day late, and a person must know.
"""
PERSON_PART: Final = 4
"""A bubble that is asked for late waits for three quarters of what is left, and leaves one."""


def window_of(state: Gate, bubble: Bubble) -> int | None:
    """Return when the 24 h window closes for a bubble, as far as is known."""
    if bubble.window_expires_ms is None:
        return None
    return max(bubble.window_expires_ms, state.window_expires_ms or 0)


def person_due(state: Gate, bubble: Bubble, settings: SettingsChanged | None) -> int | None:
    """Return when a bubble that still cannot be sent goes to a person; None: not for its window.

    What a template carries is tried for a while after the window: no later moment would be of
    any use to a channel that sends nothing. What has no known window waits for its longest time.
    """
    window = window_of(state, bubble)
    if _templated(bubble, settings):
        since_ms = bubble.requested_ms + LONGEST_WAIT_MS if window is None else window
        return max(since_ms, bubble.requested_ms) + PERSON_MARGIN_MS
    if window is None:
        return None
    open_ms = max(0, window - bubble.requested_ms)
    return window - min(PERSON_MARGIN_MS, open_ms // PERSON_PART)


def person_reason(bubble: Bubble, settings: SettingsChanged | None) -> str:
    """Return why a bubble is given to a person when it could not be sent until then."""
    return TEMPLATE_UNSENT if _templated(bubble, settings) else WINDOW_CLOSING


def _templated(bubble: Bubble, settings: SettingsChanged | None) -> bool:
    return bubble.template or template_for(settings, bubble) is not None


def in_own_words(bubbles: tuple[Bubble, ...]) -> tuple[Bubble, ...]:
    """Let no template carry what waits: the customer has written again, so the window is open."""
    return tuple(
        replace(each, template=False) if each.waits and each.template else each for each in bubbles
    )


def template_for(settings: SettingsChanged | None, bubble: Bubble) -> Template | None:
    """Return the template that carries a bubble's words; None when there is none, or no room."""
    words = " ".join((bubble.text or "").split())
    if settings is None or not settings.window_template or not words:
        return None
    if len(words) > PARAMETER_CHARS:
        return None
    return Template(
        name=settings.window_template,
        language=settings.window_template_language,
        parameter=words,
    )
