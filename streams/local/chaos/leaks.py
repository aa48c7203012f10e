"""Promise I7: looks for planted texts where no private text may be. Pure.

In the same logs an auditor says that it refused a commit (I6): what a process counted ends with it.
"""

from __future__ import annotations

from base64 import b64encode, urlsafe_b64encode
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final
from urllib.parse import quote, quote_plus

from streams.local.chaos.facts import Counted, Leaked, Searched

SKIPPED: Final = "audit_skipped_offsets_total"
"""What the workers' own auditor counts; must be nothing."""
REFUSED: Final = b'"audit.skipped"'
"""What it writes into its log for each commit that would have skipped some."""


BYTE, SIXTH = 8, 6
"""Bits of a byte, and of a character of base64."""


@dataclass
class Search:
    """A search for planted texts.

    Attributes:
        planted: What kind of thing each planted text is.
        found: How often a kind of thing was found in a place.
        refused: How often a log says that a commit was refused.
        logs_bytes: Bytes of logs that were searched.
        records: Records whose keys and headers were searched.
        pages: Pages of metrics that were searched.
    """

    planted: Mapping[bytes, str]
    found: Counter[tuple[str, str]] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    logs_bytes: int = 0
    records: int = 0
    pages: int = 0

    def log(self, name: str, line: bytes) -> None:
        """Search one line of a log."""
        self.logs_bytes += len(line)
        self.refused[name] += REFUSED in line
        self._search(f"log of {name}", line)

    def record(self, topic: str, key: bytes | None, headers: Iterable[tuple[str, bytes]]) -> None:
        """Search key and headers of a record; its value is where private texts belong."""
        self.records += 1
        self._search(f"key on {topic}", key or b"")
        for name, value in headers:
            self._search(f"header {name} on {topic}", value or b"")

    def metrics(self, process: str, page: bytes) -> None:
        """Search one page of metrics."""
        self.pages += 1
        self._search(f"metrics of {process}", page)

    def _search(self, where: str, text: bytes) -> None:
        for form, what in self._forms.items():
            if form in text:
                self.found[where, what] += text.count(form)

    @cached_property
    def _forms(self) -> dict[bytes, str]:
        return {form: what for text, what in self.planted.items() for form in forms_of(text)}

    def leaked(self) -> list[Leaked]:
        """Return what was found."""
        return [
            Leaked(where=where, what=what, times=times)
            for (where, what), times in sorted(self.found.items())
        ]

    def skipped(self) -> list[Counted]:
        """Return which logs tell of refused commits, as a metric of a process that may be gone."""
        return [
            Counted(process=f"log of {name}", name=SKIPPED, labels={}, count=times)
            for name, times in sorted(self.refused.items())
            if times
        ]

    def searched(self) -> Searched:
        """Return where was looked."""
        return Searched(
            logs_bytes=self.logs_bytes,
            records=self.records,
            pages=self.pages,
            planted=len(self.planted),
        )


def forms_of(text: bytes) -> Iterator[bytes]:
    """Yield a text, and what it looks like in a query string, as digits, and inside of base64."""
    yield text
    yield quote(text, safe="").encode()
    yield quote_plus(text).encode()
    yield text.hex().encode()
    for before in range(3):  # where it begins among the three bytes of a group
        begin, end = -(-before * BYTE // SIXTH), (before + len(text)) * BYTE // SIXTH
        for encode in (b64encode, urlsafe_b64encode):
            yield encode(bytes(before) + text)[begin:end]
