from __future__ import annotations

from typing import Any

import pytest
import requests
from schemathesis import Case, GenerationMode

from streams.webhook.producers import PATH
from tests.streams.generated import MODES, answered, operations
from tests.streams.webhook.running import Running
from tests.streams.webhook.world import TOKEN, World, signature, standard

pytestmark = pytest.mark.integration

DOCUMENT = World().app().openapi()


@pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.value)
@pytest.mark.parametrize("operation", operations(DOCUMENT), ids=" ".join)
def test_any_request_is_answered_as_documented(
    webhook: Running, operation: tuple[str, str], mode: GenerationMode
) -> None:
    def prepare(case: Case[Any], real: bool) -> None:
        if not real:
            return
        if "hub.mode" in case.query:
            case.query["hub.verify_token"] = TOKEN
        case.path_parameters |= {"app_id": webhook.app, "producer": "crm"}
        body: Any = case.body
        if isinstance(body, dict) and isinstance(body.get("data"), dict):
            body["data"]["phone_number_id"] = webhook.number

    def sign(request: requests.PreparedRequest, real: bool) -> None:
        if not real:
            return
        raw = request.body or b""
        assert isinstance(raw, bytes)
        request.headers["X-Hub-Signature-256"] = signature(raw)
        if operation[1] == PATH:
            request.headers.update(standard(raw, "evt_1", webhook.producer_secret))

    seen = answered(webhook.url, operation, mode, prepare=prepare, sign=sign)

    assert seen & ({200} if mode is GenerationMode.POSITIVE else {400, 401, 403, 404, 422})
    assert "Traceback" not in webhook.log.read_text()
