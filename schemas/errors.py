r"""Errors of the pipeline, split by what the loop does with the event.

::

    PipelineError
      x Rejected      the event can never succeed: park it, go on with others
      x Unavailable   a dependency is down: wait, then try the same event again
      x Misconfigured the operator must change something before anything starts
          x Refusing  a dependency refuses us: ``Unavailable`` for who is at work already

Any other exception is a bug: the loop tries a bounded number of times, then parks.
Messages never hold message text, names, phone numbers or secrets (promise I7).
"""

from __future__ import annotations


class PipelineError(Exception):
    """Something in the pipeline went wrong."""


class Rejected(PipelineError):
    """The event can never succeed.

    Attributes:
        reason: A short stable code such as ``bad_magic``; it becomes
            ``dlq.error.type`` and a metric label, so its values are bounded.
        detail: One redacted sentence for a person.
    """

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail


class Unavailable(PipelineError):
    """A dependency is down or asks us to wait.

    Attributes:
        service: Which one: ``postgres``, ``redis``, ``model``, ``whatsapp``,
            ``kafka``, ``registry``, ``secrets``. It is a metric label.
        retry_after_s: Seconds the dependency asked us to wait, if it did.
    """

    def __init__(self, service: str, retry_after_s: float | None = None) -> None:
        super().__init__(f"{service} is not available")
        self.service = service
        self.retry_after_s = retry_after_s


class Misconfigured(PipelineError):
    """A setting, a topic or a schema is wrong; says which one and what to do."""


class Refusing(Unavailable, Misconfigured):
    """A dependency is there and refuses us: a wrong password, a table that is missing.

    Nothing starts with it. What runs waits for it as for one that is down, because it is no fault
    of the event, and the next try may work: an operator repairs it, and no restart is needed.
    """

    def __init__(self, service: str, what: str) -> None:
        super().__init__(service)
        self.args = (what,)
