"""Our callback data: what the gate gives WhatsApp with a message, and statuses bring back.

It names the conversation, so a status finds its partition without a look-up, and it ties a
status to our attempt when the answer to the request was lost.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

VERSION: Final = "v1"

_FORM: Final = re.compile(
    r"v1\|(?P<tenant>.+)\|(?P<conversation>conv_[0-9a-f]{32})\|(?P<customer>cust_[0-9a-f]{32})"
    r"\|(?P<bubble>[0-9A-Za-z-]{1,64})\|(?P<attempt>[0-9]{1,6})",
    re.ASCII,
)


@dataclass(frozen=True, slots=True)
class Callback:
    """What our callback data says.

    Attributes:
        tenant_id: The company.
        conversation_id: The conversation.
        customer_id: The customer.
        bubble_id: Our id of the message.
        attempt: Our number of the attempt.
    """

    tenant_id: str
    conversation_id: str
    customer_id: str
    bubble_id: str
    attempt: int


def read_callback(written: str | None, *, tenant_id: str) -> Callback | None:
    """Return what callback data says; None when it is not ours, or not of this tenant."""
    found = _FORM.fullmatch(written or "")
    if found is None or found["tenant"] != tenant_id:
        return None
    return Callback(
        tenant_id=tenant_id,
        conversation_id=found["conversation"],
        customer_id=found["customer"],
        bubble_id=found["bubble"],
        attempt=int(found["attempt"]),
    )
