from __future__ import annotations

import gc

import pytest

from schemas.errors import Unavailable
from streams.tailing import Tail

NOBODY = "127.0.0.1:1"


async def test_nothing_stays_open_of_one_that_was_not_opened() -> None:
    Tail(NOBODY, client_id="never entered")

    with pytest.raises(Unavailable):
        async with Tail(NOBODY, client_id="found nobody"):
            pass

    gc.collect()  # an open consumer warns at its end, and a warning is an error here
