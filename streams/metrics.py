"""Every metric of the pipeline; names are fixed, label values are bounded.

No label ever holds a conversation, a customer, a phone number or text.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, assert_never

from prometheus_client import Counter, Gauge, Histogram, disable_created_metrics, generate_latest

from agents.ports import (
    BubbleMoved,
    BubbleSettled,
    CircuitChanged,
    HandoffLate,
    ModelCalled,
    Observation,
    Posted,
    ReadTold,
    TakeoverApplied,
    ToolRan,
    UnknownBubbles,
)
from streams.tally import Spread, Tally
from streams.unknowns import Unknowns

# `_created` series double the size of every scrape; the library does not type this function
disable_created_metrics()  # type: ignore[no-untyped-call]

SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
BYTES: Final = tuple(1024 * 2**power for power in range(9))
OPEN: Final = 2

HTTP_REQUESTS: Final = Counter(
    "http_requests_total", "HTTP requests answered.", ["method", "path", "status"]
)
HTTP_SECONDS: Final = Histogram(
    "http_request_duration_seconds", "Time to answer.", ["method", "path"], buckets=SECONDS
)
HTTP_SERVICE: Final = Gauge("http_service_info", "1 in a process of this service.", ["service"])
EVENTS_PUBLISHED: Final = Tally(
    "events_published_total", "Records that the broker has.", ["stream", "event_type"]
)
PRODUCERS_RENEWED: Final = Counter(
    "producers_renewed_total", "Producers replaced after an error that ends them.", ["error"]
)
EVENTS_CONSUMED: Final = Tally(
    "events_consumed_total", "Records taken from a topic.", ["stream", "consumer_group"]
)
EVENTS_SECONDS: Final = Spread(
    "events_processing_duration_seconds",
    "From taking an event to its end, waiting in its lane not counted.",
    ["stream"],
    buckets=SECONDS,
)
AI_REQUESTS: Final = Counter("ai_requests_total", "Model calls.", ["model", "agent"])
AI_TOKENS: Final = Counter("ai_tokens_used_total", "Tokens in and out.", ["model", "agent"])
AI_SECONDS: Final = Histogram(
    "ai_request_duration_seconds", "Time of a model call.", ["model"], buckets=SECONDS
)
LOCKS_ACQUIRED: Final = Tally(
    "locks_acquired_total", "Events that began in their lane.", ["resource_type"]
)
LOCKS_FAILED: Final = Counter(
    "locks_failed_total", "Events whose wait in a lane was cut short.", ["resource_type"]
)
LOCKS_SECONDS: Final = Spread(
    "locks_duration_seconds", "Time an event had its lane.", ["resource_type"], buckets=SECONDS
)
CIRCUIT_STATE: Final = Gauge("circuit_breaker_state", "0 closed, 1 half open, 2 open.", ["service"])
CIRCUIT_FAILURES: Final = Counter(
    "circuit_breaker_failures_total", "Times that a circuit opened.", ["service"]
)

DEAD_LETTERS: Final = Counter(
    "dead_letters_total", "Records put on a dead letter topic.", ["stream", "reason"]
)
PARKED: Final = Counter(
    "events_parked_total", "Events that a stage or sink gave up.", ["stage", "reason"]
)
RETURNED: Final = Counter(
    "events_returned_total",
    "Events that came back from the dead letters: decided, dropped, failed again, or stale.",
    ["stage", "ended"],
)
CONVERSATIONS_PARKED: Final = Gauge(
    "conversations_parked", "Conversations whose events are set aside.", ["stage"]
)
GIVEN_UP: Final = Gauge(
    "events_given_up_in_a_row",
    "How far the fuse of a stage or sink is burnt; at 25 the worker stops.",
    ["stage"],
)
STATE_SIZE: Final = Spread(
    "state_size_bytes",
    "State of a conversation as it is stored; 32 KiB at p99 is the budget, 256 KiB the limit.",
    ["stage"],
    buckets=BYTES,
)
TABLE_CONVERSATIONS: Final = Gauge(
    "table_conversations",
    "Conversations of a table: with their value in memory, or at rest in Postgres.",
    ["stage", "kept"],
)
TABLE_BYTES: Final = Gauge("table_bytes", "Bytes of a table's values in memory.", ["stage"])
RESTED: Final = Counter(
    "conversations_rested_total", "Times that an idle conversation left memory.", ["stage"]
)
WOKEN: Final = Counter(
    "conversations_woken_total", "Times that a value at rest was read back.", ["stage"]
)
RETRIED: Final = Counter("events_retried_total", "Attempts after the first.", ["stage", "reason"])
SKIPPED: Final = Tally("events_skipped_total", "Redelivered events already applied.", ["stage"])
INFLIGHT: Final = Gauge("events_inflight", "Events taken and not finished.", ["stage"])
TIMERS_ARMED: Final = Gauge("timers_armed", "Conversations with a timer.", ["stage"])
TIMERS_FIRED: Final = Counter("timers_fired_total", "Timer events published.", ["stage"])
LAG: Final = Gauge(
    "consumer_lag_records",
    "Records behind the end of the log.",
    ["stream", "partition", "consumer_group"],
)
BEHIND: Final = Gauge(
    "consumer_behind_seconds",
    "Seconds for which something on the log has been known here and is not finished.",
    ["stream", "partition", "consumer_group"],
)
AUDITED: Final = Counter(
    "audit_offsets_total",
    "Offsets committed, each one found finished or empty.",
    ["stream", "consumer_group"],
)
SKIPPED_OFFSETS: Final = Counter(
    "audit_skipped_offsets_total",
    "Offsets that a commit would have passed unfinished; it was refused. Must stay 0.",
    ["stream", "consumer_group"],
)
LOST: Final = Counter(
    "offsets_lost_total",
    "Offsets that retention deleted before they were read.",
    ["stream", "consumer_group"],
)
REFUSED: Final = Counter(
    "logs_refused_total", "Times that a log was not the one that was read before."
)
RECOVERING: Final = Gauge("worker_recovering", "1 while tables are being read.")
RECOVERY_SECONDS: Final = Gauge("worker_recovery_seconds", "Time of the newest bulk recovery.")
READY: Final = Gauge("worker_ready", "1 while the worker takes events.")
DOWN: Final = Gauge("dependency_waiting_events", "Events that wait for a service.", ["service"])
SINK_RECORDS: Final = Counter("sink_records_total", "Records that a sink wrote.", ["sink"])
SINK_SECONDS: Final = Histogram(
    "sink_write_duration_seconds", "Time of one batch.", ["sink"], buckets=SECONDS
)
WHATSAPP_REQUESTS: Final = Counter(
    "whatsapp_requests_total", "Requests to send, by how they ended.", ["outcome", "code"]
)
WHATSAPP_SECONDS: Final = Histogram(
    "whatsapp_request_duration_seconds", "Time of a request to send.", buckets=SECONDS
)
UNKNOWN_SENDS: Final = Counter("unknown_sends_total", "Requests that may have been sent.")
BUBBLES_MOVED: Final = Counter(
    "bubbles_updated_total", "Changes of bubbles at the gate, with the reason.", ["state", "reason"]
)
BUBBLES_SETTLED: Final = Counter(
    "bubbles_settled_total",
    "Bubbles that ended at the gate; after `unknown` a status or, if none came, a person decides.",
    ["state", "reason", "after"],
)
UNKNOWNS: Final = Unknowns()
UNKNOWN_NOW: Final = Gauge("unknown_bubbles", "Bubbles whose result is not known now.")
UNKNOWN_NOW.set_function(UNKNOWNS.total)
READ_RECEIPTS: Final = Counter(
    "read_receipts_total", "Read receipts with a typing indicator, by how they ended.", ["outcome"]
)
WITHHELD: Final = Counter(
    "sends_withheld_total", "Bubbles that got no permit to be sent now.", ["reason"]
)
NUMBER_SHARE: Final = Gauge(
    "number_share_messages", "Messages in any second that this worker's leases allow."
)
NUMBER_USED: Final = Gauge(
    "number_used_messages", "Messages of the newest second on numbers with a limit, in and out."
)
NUMBER_WAITING: Final = Gauge(
    "number_waiting_bubbles", "Bubbles that wait for their number at this worker."
)
CHANNELS_STOPPED: Final = Gauge(
    "channels_stopped", "Numbers and apps that may not send: token, account, spam, WhatsApp's rate."
)
TOOL_RUNS: Final = Counter("tool_runs_total", "Tool runs, by how they ended.", ["tool", "outcome"])
TOOL_SECONDS: Final = Histogram(
    "tool_run_duration_seconds", "Time of a tool run.", ["tool"], buckets=SECONDS
)
AI_OUTCOMES: Final = Counter(
    "ai_outcomes_total", "Model calls, by how they ended.", ["model", "outcome"]
)

FEED_EMITS: Final = Counter(
    "feed_emits_total", "Events for consoles: sent, failed attempts, dropped batches.", ["outcome"]
)

TAKEOVER_SECONDS: Final = Histogram(
    "takeover_confirmation_seconds",
    "From dispatch's decision of a takeover to the gate's, after which no AI bubble is sent.",
    buckets=SECONDS,
)
HANDOFFS_LATE: Final = Counter(
    "handoffs_late_total", "Hand-overs to which no person came in time.", ["decision"]
)

LANE: Final = "conversation_lane"
"""The ``resource_type`` of the ``locks_*`` metrics: there are no locks, there are lanes."""

CONTENT_TYPE: Final[Mapping[str, str]] = MappingProxyType(
    {"content-type": "text/plain; version=0.0.4; charset=utf-8"}
)


def exposition() -> bytes:
    """Return every metric in Prometheus' text format."""
    return generate_latest()


def observe(observation: Observation) -> None:
    """Count what an adapter saw; the ``agents.ports.Observe`` of every process."""
    match observation:
        case ModelCalled(model=model, agent=agent, outcome=outcome, seconds=seconds, tokens=tokens):
            AI_REQUESTS.labels(model, agent).inc()
            AI_TOKENS.labels(model, agent).inc(tokens)
            AI_SECONDS.labels(model).observe(seconds)
            AI_OUTCOMES.labels(model, outcome).inc()
        case ToolRan(tool=tool, outcome=outcome, seconds=seconds):
            TOOL_RUNS.labels(tool, outcome).inc()
            TOOL_SECONDS.labels(tool).observe(seconds)
        case Posted(outcome=outcome, code=code, seconds=seconds):
            WHATSAPP_REQUESTS.labels(outcome, code).inc()
            WHATSAPP_SECONDS.observe(seconds)
        case BubbleMoved() | BubbleSettled() | UnknownBubbles() | ReadTold():
            _observe_gate(observation)
        case CircuitChanged(service=service, state=state):
            CIRCUIT_STATE.labels(service).set(state)
            CIRCUIT_FAILURES.labels(service).inc(state == OPEN)
        case TakeoverApplied(seconds=seconds):
            TAKEOVER_SECONDS.observe(seconds)
        case HandoffLate(decision=decision):
            HANDOFFS_LATE.labels(decision).inc()
        case _:
            assert_never(observation)


def _observe_gate(observation: BubbleMoved | BubbleSettled | UnknownBubbles | ReadTold) -> None:
    match observation:
        case BubbleMoved(state=bubble, reason=reason):
            BUBBLES_MOVED.labels(bubble, reason).inc()
        case BubbleSettled(state=bubble, reason=reason, unknown=unknown):
            BUBBLES_SETTLED.labels(bubble, reason, "unknown" if unknown else "answer").inc()
        case UnknownBubbles(conversation_id=conversation_id, count=count):
            UNKNOWN_SENDS.inc(UNKNOWNS.note(conversation_id, count))
        case ReadTold(outcome=outcome):
            READ_RECEIPTS.labels(outcome).inc()
        case _:
            assert_never(observation)
