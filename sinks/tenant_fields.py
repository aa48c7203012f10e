"""What an operator may set of a company, and within which bounds."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from schemas.errors import Misconfigured
from schemas.events import SettingsChanged

FIELDS: Final = (
    "name",
    "prompt",
    "language",
    "ai_enabled",
    "burst_quiet_ms",
    "burst_max_ms",
    "burst_adapts",
    "burst_quiet_min_ms",
    "turn_token_budget",
    "handoff_words",
    "delivered_wait_ms",
    "read_receipts",
    "window_template",
    "window_template_language",
    "handoff_text",
    "handoff_minutes",
    "handoff_returns",
    "handoff_late_text",
    "human_silence_minutes",
    "takeover_tags",
)
"""What an operator may set."""

WEEK_MINUTES: Final = 7 * 24 * 60
BOUNDS: Final[Mapping[str, int | None]] = MappingProxyType(
    {
        "burst_quiet_ms": None,
        "burst_max_ms": None,
        "burst_quiet_min_ms": None,
        "turn_token_budget": None,
        "delivered_wait_ms": None,
        "handoff_minutes": WEEK_MINUTES,
        "human_silence_minutes": WEEK_MINUTES,
    }
)
"""Of these, what must not be negative, and the most that it may be."""

TEXTS: Final = ("handoff_text", "handoff_late_text")
TEXT_CHARS: Final = 1000
TAGS: Final = 20
TAG_CHARS: Final = 64


def check(settings: SettingsChanged) -> None:
    """Refuse values that no worker could use.

    Raises:
        Misconfigured: A value is out of its bounds; says which.
    """
    for name, most in BOUNDS.items():
        value = getattr(settings, name)
        if value < 0:
            raise Misconfigured(f"{name} must not be negative")
        if most is not None and value > most:
            raise Misconfigured(f"{name} must not be more than {most}")
    if settings.burst_max_ms < settings.burst_quiet_ms:
        raise Misconfigured("burst_max_ms must not be less than burst_quiet_ms")
    for name in TEXTS:
        if len(getattr(settings, name)) > TEXT_CHARS:
            raise Misconfigured(f"{name} must not be longer than {TEXT_CHARS} characters")
    if len(settings.takeover_tags) > TAGS or not all(
        0 < len(tag.strip()) <= TAG_CHARS for tag in settings.takeover_tags
    ):
        raise Misconfigured(f"takeover_tags are at most {TAGS}, of 1 to {TAG_CHARS} characters")
