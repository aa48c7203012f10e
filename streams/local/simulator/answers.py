"""JSON answers of the simulator."""

from __future__ import annotations

from typing import Final

import orjson
from starlette.responses import Response

LABEL: Final = {"x-simulator": "whaticket; this is not WhatsApp"}


def json(content: object, status: int = 200) -> Response:
    """Return a JSON answer that says who answers."""
    return Response(
        orjson.dumps(content, option=orjson.OPT_NON_STR_KEYS), status, LABEL, "application/json"
    )
