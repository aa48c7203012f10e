from __future__ import annotations

from collections.abc import Iterator

import pytest

from streams.settings import Settings
from tests.streams.webhook.running import Running, webhook_process


@pytest.fixture(scope="module")
def webhook(
    provisioned: Settings, postgres_dsn: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Running]:
    log = tmp_path_factory.mktemp("webhook") / "log"
    with webhook_process(provisioned, postgres_dsn, log) as running:
        yield running
