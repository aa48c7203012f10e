"""Signatures: who may push. Secrets are compared in constant time, all of them every time."""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Mapping
from typing import Final

from standardwebhooks import Webhook, WebhookVerificationError

PREFIX: Final = b"sha256="


def meta_signed(secrets: Iterable[str], body: bytes, header: str | None) -> bool:
    """Tell whether ``X-Hub-Signature-256`` was made from these bytes with one of the secrets.

    The digest is of the bytes received: Meta escapes what we would write otherwise.

    Source: Meta, "Webhooks", section "Validating payloads".
    """
    given = (header or "").encode("latin-1", "replace")
    found = False
    for secret in secrets:
        if secret:
            digest = hmac.digest(secret.encode(), body, "sha256").hex().encode()
            found |= hmac.compare_digest(PREFIX + digest, given)
    return found


def standard_signed(secrets: Iterable[str], body: bytes, headers: Mapping[str, str]) -> bool:
    """Tell whether a request bears a Standard Webhooks signature, at most five minutes old.

    Source: github.com/standard-webhooks, "Standard Webhooks" specification, version 1.0.0.
    """
    given = {name: headers.get(name, "") for name in STANDARD_HEADERS}
    found = False
    for secret in secrets:
        try:
            Webhook(secret).verify(body, given, json_parse=False)
        except (WebhookVerificationError, ValueError):
            # ValueError: signatures that are no base64, or a body that is no UTF-8
            continue
        found = True
    return found


STANDARD_HEADERS: Final = ("webhook-id", "webhook-timestamp", "webhook-signature")
