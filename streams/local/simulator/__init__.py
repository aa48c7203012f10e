"""A simulator of WhatsApp's Cloud API for development and tests; it is not WhatsApp.

It takes messages as Meta does, refuses what Meta refuses with Meta's codes, and posts signed
statuses and customers' messages to our webhook. It keeps the files of both sides.

Source: Meta, "WhatsApp Cloud API: Messages", "Media", "Webhooks" and "Error codes".
"""

from __future__ import annotations

from streams.local.simulator.app import application
from streams.local.simulator.state import Simulator

__all__ = ["Simulator", "application"]
