from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

PAGES = Path(__file__).parents[3] / "docs" / "how-to"


@pytest.mark.parametrize("page", ["add-a-tool.md", "add-an-agent.md"])
def test_the_code_of_a_page_runs_from_top_to_bottom(page: str) -> None:
    blocks = re.findall(r"```python\n(.*?)```", (PAGES / page).read_text("utf-8"), re.DOTALL)
    names: dict[str, Any] = {}

    for block in blocks:
        exec(compile(block, page, "exec"), names)  # noqa: S102 - our own page

    assert len(blocks) >= 3
