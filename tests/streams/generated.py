"""Requests that are generated from an OpenAPI document; each answer is judged by the document."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import requests
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import Case, CheckFunction, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

EXAMPLES = 40
CONFORMANCE: tuple[CheckFunction, ...] = (
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    unsupported_method,
)
MODES = (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)

Prepare = Callable[[Case[Any], bool], None]
"""Completes a case; the flag says whether it is to name what really exists."""

Sign = Callable[[requests.PreparedRequest, bool], None]
"""Completes the request that is made of a case."""


def operations(document: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Method and path of every operation."""
    return [(method, path) for path, item in document["paths"].items() for method in item]


def answered(
    url: str,
    operation: tuple[str, str],
    mode: GenerationMode,
    *,
    prepare: Prepare,
    sign: Sign,
    checks: Iterable[CheckFunction] = CONFORMANCE,
) -> set[int]:
    """Send generated requests of one operation and judge the answers; return their statuses."""
    method, path = operation
    document = requests.get(f"{url}/openapi.json", timeout=10).json()
    # Who may ask is tested by hand: generated tokens would hide everything else.
    document.get("components", {}).pop("securitySchemes", None)
    document["paths"][path][method].pop("security", None)
    described = schemathesis.openapi.from_dict(document)[path][method]
    seen: set[int] = set()

    @given(case=described.as_strategy(generation_mode=mode), real=st.booleans())
    @settings(
        max_examples=EXAMPLES,
        derandomize=True,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    def each(case: Case[Any], real: bool) -> None:
        prepare(case, real)
        request = requests.Request(**case.as_transport_kwargs(base_url=url)).prepare()
        sign(request, real)
        answer = session.send(request, timeout=30)
        seen.add(answer.status_code)
        case.validate_response(answer, checks=list(checks))

    with requests.Session() as session:
        each()
    return seen
