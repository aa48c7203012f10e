"""Limits of interactive messages.

Source: Meta, "WhatsApp Cloud API: Interactive messages" (reply buttons and lists).
"""

from __future__ import annotations

from typing import Any, Final

from streams.local.simulator.refusals import Refusal, invalid, missing

BODY_MAX: Final = 1024
BUTTONS_MAX: Final = 3
BUTTON_TITLE_MAX: Final = 20
ROWS_MAX: Final = 10
ROW_TITLE_MAX: Final = 24


def interactive(content: dict[str, Any]) -> Refusal | None:
    """Check the text, the number of choices and the length of their titles."""
    action = content.get("action")
    if not isinstance(action, dict):
        return missing("interactive['action']")
    body = content.get("body")
    text = body.get("text") if isinstance(body, dict) else None
    if text is not None and len(str(text)) > BODY_MAX:
        return invalid("interactive['body']['text']", f"must be at most {BODY_MAX} characters.")
    if content.get("type") == "button":
        return _buttons(action)
    return _rows(action) if content.get("type") == "list" else None


def _buttons(action: dict[str, Any]) -> Refusal | None:
    buttons = action.get("buttons")
    if not isinstance(buttons, list) or not 1 <= len(buttons) <= BUTTONS_MAX:
        return invalid("interactive['action']['buttons']", f"must be 1 to {BUTTONS_MAX}.")
    titles = [_inner(button, "reply").get("title") for button in buttons]
    return _titles("buttons", titles, BUTTON_TITLE_MAX)


def _rows(action: dict[str, Any]) -> Refusal | None:
    sections = action.get("sections")
    if not isinstance(sections, list):
        return missing("interactive['action']['sections']")
    rows = [row for section in sections for row in _list(section, "rows")]
    if not 1 <= len(rows) <= ROWS_MAX:
        return invalid("interactive['action']['sections']", f"must hold 1 to {ROWS_MAX} rows.")
    return _titles("rows", [row.get("title") for row in rows], ROW_TITLE_MAX)


def _titles(what: str, titles: list[Any], longest: int) -> Refusal | None:
    for title in titles:
        if not isinstance(title, str) or not 1 <= len(title) <= longest:
            return invalid(f"title of {what}", f"must be 1 to {longest} characters long.")
    return None


def _inner(value: object, name: str) -> dict[str, Any]:
    inner = value.get(name) if isinstance(value, dict) else None
    return inner if isinstance(inner, dict) else {}


def _list(value: object, name: str) -> list[dict[str, Any]]:
    inner = value.get(name) if isinstance(value, dict) else None
    return [row for row in inner if isinstance(row, dict)] if isinstance(inner, list) else []
