from __future__ import annotations

from uuid import uuid4

import pytest

from streams.local.stack import Stack
from tests.streams.loop.harness import create
from tests.streams.loop.toy import Names


@pytest.fixture
def names(stack: Stack) -> Names:
    """Topics of a test's own, on a real broker."""
    found = Names(uuid4().hex[:8])
    create(stack.kafka_bootstrap, found)
    return found
