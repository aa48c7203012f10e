"""Every protection; run as a script, it prints the table of docs/protections.md."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

from tests.protections.of_the_log import COMMITS, OWNERS, STATES
from tests.protections.of_the_world import EFFECTS, SURROUNDINGS, TAKEOVERS
from tests.protections.removal import Removal, table

ROOT: Final = Path(__file__).parents[2]
REMOVALS: Final[tuple[Removal, ...]] = (
    *COMMITS,
    *STATES,
    *OWNERS,
    *EFFECTS,
    *TAKEOVERS,
    *SURROUNDINGS,
)

if __name__ == "__main__":
    sys.stdout.write(table(REMOVALS) + "\n")
