"""What is sent when WhatsApp's 24 h window is closed: a template of the tenant, if it has one."""

from __future__ import annotations

from typing import Final

from agents.core.gate import Bubble
from agents.ports.whatsapp import Template
from schemas.events import SettingsChanged

PARAMETER_CHARS: Final = 1024
"""Source: WhatsApp Cloud API, "Templates", body text; a parameter has no line breaks or tabs."""


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
