"""The tools that ship: one module each, and the box that holds them."""

from __future__ import annotations

from agents.toolbox.box import Toolbox, box, shipped

__all__ = ["Toolbox", "box", "shipped"]
