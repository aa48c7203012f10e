"""Files that are rendered from code: the events' page and the Avro schemas.

A further generated page is one more line of ``PAGES``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, get_args

from msgspec.structs import fields

from schemas import versions
from schemas.avro_schema import NAMESPACE, schema_of, summary
from schemas.errors import Misconfigured
from schemas.events import Event
from schemas.events.envelope import Envelope
from schemas.examples import Example, examples
from schemas.topics import DAY_MS, TOPICS, Topic
from streams.docpages import conversation_page, metrics_page, settings_page

HEAD: Final = """\
# Events

<!-- Rendered by `whaticket docs` from schemas/topics.py and schemas/events/: do not edit. -->

Every topic of the pipeline, with who writes it, who reads it and what its records say.
Values are Avro in Confluent's wire format, with subject `<topic>-value`.
Keys are plain UTF-8 strings.
Each topic has a dead letter topic, `<topic>.dlq`, for records that could not be handled.
A dead letter keeps key, value and headers as they were, and says why in `dlq.*` headers.
[Parked conversations](how-to/parked-conversations.md) lists the headers.
Times are Unix milliseconds, UTC.
Schemas of every version are in `schemas/avro/`.
"""

FLOW: Final = """
## Flow

Topics are rectangles; who writes and reads them is round.

```mermaid
flowchart LR
{lines}
```
"""


def events_page() -> str:
    """Return ``docs/events.md``."""
    shown = {example.event.event: example for example in reversed(examples())}
    parts = [HEAD, _index(), FLOW.format(lines="\n".join(_flow())), _envelope()]
    parts += [_topic(topic, shown.get(topic.name)) for topic in TOPICS]
    parts += [_nested()]
    return "\n".join(part.strip("\n") + "\n" for part in parts)


PAGES: Final[list[tuple[str, Callable[[], str]]]] = [
    ("docs/events.md", events_page),
    ("docs/conversation.md", conversation_page),
    ("docs/settings.md", settings_page),
    ("docs/metrics.md", metrics_page),
]
"""Path from the project's root, and what renders it."""


def rendered() -> dict[str, str]:
    """Return every generated file by its path from the project's root.

    Raises:
        Misconfigured: A record changed so that an earlier version cannot be read beside it.
    """
    kept = versions.kept()
    drawn = list(versions.newest(kept, versions.released()))
    problems = [why for version in drawn for why in versions.misfits(version, kept[version.record])]
    if problems:
        raise Misconfigured(
            "these schemas cannot live beside earlier versions"
            " (give new fields a default, keep the old ones):\n  " + "\n  ".join(problems)
        )
    files = {version.path: version.text for version in drawn}
    return files | {path: render() for path, render in PAGES}


def outdated(root: Path, files: dict[str, str]) -> list[str]:
    """Return the paths of files that are not as they would be rendered."""
    return [path for path, text in files.items() if _text(root / path) != text]


def write(root: Path, files: dict[str, str]) -> list[str]:
    """Render what is out of date and return its paths."""
    stale = outdated(root, files)
    for path in stale:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(files[path], "utf-8")
    return stale


def release(root: Path) -> dict[str, int]:
    """Freeze the newest version of each record: from now on a change begins the next one."""
    numbers = {record: past[-1].number for record, past in versions.kept().items() if past}
    (root / versions.RELEASED).write_text(json.dumps(numbers, indent=2) + "\n", "utf-8")
    return numbers


def project_root() -> Path:
    """Return the root of the source tree that this code runs from.

    Raises:
        Misconfigured: It runs from an installed wheel, which has no docs to render.
    """
    root = Path(__file__).resolve().parent.parent
    if not (root / "pyproject.toml").is_file():
        raise Misconfigured("run this in a checkout of the project: there are no docs here")
    return root


def _text(path: Path) -> str | None:
    return path.read_text("utf-8") if path.is_file() else None


def _index() -> str:
    rows = [
        f"| [`{topic.name}`](#{topic.name.replace('.', '')}) | {topic.record.__name__}"
        f" | {', '.join(topic.writers)} | {', '.join(topic.readers)} |"
        for topic in TOPICS
    ]
    return "\n".join(["| topic | record | written by | read by |", "|---|---|---|---|", *rows])


def _flow() -> Iterator[str]:
    for part in sorted({part for topic in TOPICS for part in (*topic.writers, *topic.readers)}):
        yield f"  {part}([{part}])"
    for topic in TOPICS:
        node = topic.name.replace(".", "_")
        yield f"  {node}[{topic.name}]"
        yield from (f"  {writer} --> {node}" for writer in topic.writers)
        yield from (f"  {node} --> {reader}" for reader in topic.readers)


def _envelope() -> str:
    schema = schema_of(TOPICS[0].record)
    return "\n".join(
        [
            "## The envelope",
            "",
            "Every record begins with these fields.",
            "",
            *_fields(schema, own=False),
        ]
    )


def _topic(topic: Topic, example: Example | None) -> str:
    lines = [
        f"## {topic.name}",
        "",
        topic.doc,
        "",
        f"* record: `{topic.record.__name__}`: {summary(topic.record)}",
        f"* key: `{topic.key.value}`{' (one partition)' if topic.single else ''}",
        f"* written by: {', '.join(topic.writers)}",
        f"* read by: {', '.join(topic.readers)}",
        f"* kept: {_kept(topic)}",
        "",
        *_fields(schema_of(topic.record), own=True),
    ]
    if example:
        lines += ["", "<details><summary>Example</summary>", "", "```json"]
        lines += [example.text.rstrip(), "```", "", "</details>"]
    return "\n".join(lines)


def _kept(topic: Topic) -> str:
    if topic.compacted:
        days = topic.retention_ms // DAY_MS
        return (
            f"the newest record of each key for ever, an older one {days} days longer (compacted)"
        )
    return f"{topic.retention_ms // DAY_MS} days"


def _fields(schema: dict[str, Any], *, own: bool) -> list[str]:
    envelope = {field.name for field in fields(Envelope)}
    rows = [
        f"| `{field['name']}` | {_type(field['type'])} | {_default(field)} | {_cell(field)} |"
        for field in schema["fields"]
        if (field["name"] not in envelope) is own
    ]
    return ["| field | type | default | meaning |", "|---|---|---|---|", *rows]


def _type(schema: Any) -> str:
    if isinstance(schema, list):
        present = [branch for branch in schema if branch != "null"]
        return f"{_type(present[0])}, or null"
    if isinstance(schema, str):
        name = schema.removeprefix(f"{NAMESPACE}.")
        return name if name == schema else _linked(name)
    if schema["type"] == "array":
        return f"list of {_type(schema['items'])}"
    return _linked(schema["name"]) if "name" in schema else "time"


def _linked(name: str) -> str:
    return f"[{name}](#{name.lower()})"


def _default(field: dict[str, Any]) -> str:
    if "default" not in field:
        return "required"
    return f"`{json.dumps(field['default'], ensure_ascii=False)}`"


def _cell(field: dict[str, Any]) -> str:
    return str(field.get("doc", "")).replace("|", "\\|")


def _nested() -> str:
    """Return a section for each record and enum that is inside others, by name."""
    found: dict[str, Any] = {}
    for record in get_args(Event):
        for field in schema_of(record)["fields"]:
            found |= _named(field["type"])
    lines = ["## Parts of records"]
    for name, schema in sorted(found.items()):
        lines += ["", f"### {name}", "", schema["doc"], ""]
        if schema["type"] == "record":
            lines += _fields(schema, own=True)
        else:
            symbols = ", ".join(f"`{symbol}`" for symbol in schema["symbols"])
            lines += [f"One of {symbols}; a newer one is read as `{schema['default']}`."]
    return "\n".join(lines)


def _named(schema: Any) -> dict[str, Any]:
    if isinstance(schema, list):
        return {name: found for branch in schema for name, found in _named(branch).items()}
    if not isinstance(schema, dict):
        return {}
    inner = [field["type"] for field in schema.get("fields", ())]
    if "items" in schema:
        inner.append(schema["items"])
    named = {schema["name"]: schema} if "name" in schema else {}
    for part in inner:
        named |= _named(part)
    return named
