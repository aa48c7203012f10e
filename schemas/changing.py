"""A record, or a state, with some of its fields changed."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from msgspec import Struct, structs

if TYPE_CHECKING:
    # mypy knows the fields of records by this name, and checks what is changed.
    from dataclasses import replace
else:

    def replace(record: Any, /, **changes: Any) -> Any:
        """Return a copy of a struct or a dataclass with these fields changed."""
        if isinstance(record, Struct):
            return structs.replace(record, **changes)
        return dataclasses.replace(record, **changes)


__all__ = ["replace"]
