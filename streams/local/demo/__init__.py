"""The demo: a shop, its customers, and what must become of their messages."""

from __future__ import annotations
