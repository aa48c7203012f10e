"""A protection taken away: where, how, what would follow, and which test does not let it pass."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Removal:
    """One protection, and the smallest change that takes it away.

    Attributes:
        protection: Its name; a protection that is kept at several places has several removals.
        part: Which of its places this is.
        module: File of the code, from the root of the project.
        old: Its code; occurs once in the file.
        new: What stands there without it.
        without: What happens then, in one clause.
        test: The test that fails, as pytest names it.
    """

    protection: str
    part: str
    module: str
    old: str
    new: str
    without: str
    test: str

    @property
    def title(self) -> str:
        """Protection and part, as one name."""
        return f"{self.protection}: {self.part}" if self.part else self.protection


def table(removals: Iterable[Removal]) -> str:
    """Return the table of docs/protections.md."""
    rows = [
        f"| {r.title} | `{r.module}` | {r.without} | `{r.test.replace('|', chr(92) + '|')}` |"
        for r in removals
    ]
    head = "| protection | where it is | without it | the test that fails without it |"
    return "\n".join((head, "|---|---|---|---|", *rows))
