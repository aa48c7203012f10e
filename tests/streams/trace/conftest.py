from __future__ import annotations

import pytest

from tests.streams.trace.logbook import Log, answered_by_tool, message


@pytest.fixture
def log() -> Log:
    log = Log()
    answered_by_tool(log, "wamid.1", "turn-1", 1000)
    answered_by_tool(log, "wamid.2", "turn-2", 2000)
    log.add(message("wamid.3", 1500, conversation="conv_2"))
    return log
