"""The table of protections tells of code and tests that are there."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from tests.protections.all import REMOVALS, ROOT
from tests.protections.removal import Removal, table

ASKED = {
    "safe commit",
    "contiguous acknowledgement",
    "outbox in the state record",
    "an old outbox is settled before it is overwritten",
    "claim row",
    "epoch check",
    "`wamid` set",
    "owner epoch on recovery",
    "generation and freeze check",
    "co-partition check",
    "key-placement check",
}


def test_the_page_has_every_protection_as_it_is() -> None:
    page = (ROOT / "docs/protections.md").read_text("utf-8")

    assert table(REMOVALS) in page, "python -m tests.protections.all prints the table"


@pytest.mark.parametrize("removal", REMOVALS, ids=lambda removal: removal.title)
def test_what_is_taken_away_and_who_notices_are_there(removal: Removal) -> None:
    code = (ROOT / removal.module).read_text("utf-8")
    file, _, test = removal.test.partition("::")

    assert code.count(removal.old) == 1, f"say in tests/protections what replaced {removal.old!r}"
    assert removal.new != removal.old
    assert re.search(
        rf"^(async )?def {test.partition('[')[0]}\(", (ROOT / file).read_text("utf-8"), re.MULTILINE
    )


def test_no_protection_is_named_twice_and_none_is_left_out() -> None:
    titles = Counter(removal.title for removal in REMOVALS)

    assert set(titles.values()) == {1}
    assert {removal.protection for removal in REMOVALS} >= ASKED
