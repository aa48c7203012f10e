"""What an address says by itself. Pure."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit


def on_this_machine(url: str) -> bool:
    """Tell whether a URL leads to this machine, which no proxy of the environment reaches."""
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
