from __future__ import annotations

import pytest

from schemas.errors import Misconfigured
from streams.server.listening import listen


def test_any_free_port_can_be_had() -> None:
    with listen("127.0.0.1", 0, "WEBHOOK_PORT") as found:
        assert found.getsockname()[1] > 0


def test_a_taken_port_is_named_with_what_to_do() -> None:
    with listen("127.0.0.1", 0, "WEBHOOK_PORT") as taken:
        port = taken.getsockname()[1]

        with pytest.raises(Misconfigured, match=rf"127\.0\.0\.1:{port} .* set WEBHOOK_PORT"):
            listen("127.0.0.1", port, "WEBHOOK_PORT")
