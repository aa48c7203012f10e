"""Load: signed messages through the webhook, and a check of what became of every one."""

from __future__ import annotations
