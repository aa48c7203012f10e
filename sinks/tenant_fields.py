"""What an operator may set of a company, and within which bounds."""

from __future__ import annotations

import re
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

ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}", re.ASCII)
"""Ids of companies, apps and numbers stand in addresses, and in the 512 characters that WhatsApp
gives back with a status."""

WEEK_MINUTES: Final = 7 * 24 * 60
WAIT_MS: Final = 10 * 60_000
"""A customer who waits longer for an answer, or for its second part, is not being answered."""
BOUNDS: Final[Mapping[str, int]] = MappingProxyType(
    {
        "burst_quiet_ms": WAIT_MS,
        "burst_max_ms": WAIT_MS,
        "burst_quiet_min_ms": WAIT_MS,
        "turn_token_budget": 1_000_000,
        "delivered_wait_ms": WAIT_MS,
        "handoff_minutes": WEEK_MINUTES,
        "human_silence_minutes": WEEK_MINUTES,
    }
)
"""Of these, what must not be negative, and the most that it may be."""

TEXTS: Final[Mapping[str, int]] = MappingProxyType(
    {
        "name": 200,
        "prompt": 16_000,
        "language": 64,
        "window_template": 512,
        "window_template_language": 64,
        "handoff_text": 1000,
        "handoff_late_text": 1000,
    }
)
"""Most characters of each: every turn carries the prompt, and every worker all of them."""
WORDS: Final = 200
TAGS: Final = 20
TAG_CHARS: Final = 64


def check_id(what: str, value: str) -> None:
    """Refuse an id that some part of the pipeline could not carry.

    Raises:
        Misconfigured: It is none; says of what.
    """
    if not ID.fullmatch(value):
        raise Misconfigured(
            f"the id of the {what} must be 1 to 64 letters, digits, dashes and underscores,"
            " and begin with a letter or a digit"
        )


def check(settings: SettingsChanged) -> None:
    """Refuse values that no worker could use.

    Raises:
        Misconfigured: A value is out of its bounds; says which.
    """
    _numbers(settings)
    _texts(settings)
    _words(settings)


def _numbers(settings: SettingsChanged) -> None:
    for name, most in BOUNDS.items():
        value = getattr(settings, name)
        if value < 0:
            raise Misconfigured(f"{name} must not be negative")
        if value > most:
            raise Misconfigured(f"{name} must not be more than {most}")
    if settings.burst_max_ms < settings.burst_quiet_ms:
        raise Misconfigured("burst_max_ms must not be less than burst_quiet_ms")


def _texts(settings: SettingsChanged) -> None:
    for name, longest in TEXTS.items():
        text = getattr(settings, name)
        if len(text) > longest:
            raise Misconfigured(f"{name} must not be longer than {longest} characters")
        if "\x00" in text:  # Postgres has no text with them
            raise Misconfigured(f"{name} must not hold a zero byte")


def _words(settings: SettingsChanged) -> None:
    for name, count in (("takeover_tags", TAGS), ("handoff_words", WORDS)):
        words = getattr(settings, name)
        if len(words) > count or not all(map(_is_word, words)):
            raise Misconfigured(f"{name} are at most {count}, of 1 to {TAG_CHARS} characters")


def _is_word(word: str) -> bool:
    return 0 < len(word.strip()) <= TAG_CHARS and "\x00" not in word
