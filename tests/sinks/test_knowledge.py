from __future__ import annotations

import hashlib
import math
import random
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.core.prompt import data
from agents.ports import Knowledge, Passage
from schemas.changing import replace
from schemas.errors import Misconfigured, Refusing, Rejected
from schemas.events import BubbleState, Citation, Event, Fact, MemoryUpdateRequested, Position
from schemas.ids import derived, trace
from schemas.passage import SHOWN_CHARS
from sinks.knowledge import PostgresKnowledge
from sinks.memory import Memories
from sinks.passages import PASSAGE_CHARS, chunks
from sinks.ports import Recorded
from sinks.transcripts import Transcripts
from streams.processor.answers import KINDS
from tests.sinks.stories import Story

GUIDE = """# Trocas

Trocamos em até 30 dias com a nota fiscal.

## Frete

O frete da troca é grátis na primeira vez.

# Horário

Atendemos de segunda a sexta das 9h às 18h.
"""


class WordEmbedder:
    """Texts that share words are near; counts what it was asked."""

    def __init__(self, dimensions: int = 512) -> None:
        self.dimensions = dimensions
        self.asked = 0

    async def embed(self, texts: Sequence[str], /) -> list[list[float]]:
        self.asked += len(texts)
        return [self.vector(text) for text in texts]

    def vector(self, text: str) -> list[float]:
        vector = [1e-6] * self.dimensions
        for word in re.findall(r"\w+", text.lower()):
            vector[hashlib.sha256(word.encode()).digest()[0] * 2] += 1.0
        length = math.sqrt(sum(x * x for x in vector))
        return [x / length for x in vector]


OLDER = """
INSERT INTO memories (
    tenant_id, event_id, customer_id, conversation_id, turn_id, question, answer, embedding, at_ms
)
VALUES ($1, 'e', 'cust_1', 'conv_1', 't', 'q', 'a', $2::float4[]::vector, 2)
"""


class Lent:
    """A pool that lends one connection."""

    def __init__(self, connection: Any) -> None:
        self.connection = connection

    @asynccontextmanager
    async def acquire(self) -> AsyncIterator[Any]:
        yield self.connection


def remembered(tenant_id: str, name: str, at: int, *facts: Fact) -> Recorded:
    event: Event = MemoryUpdateRequested(
        event="memory.update.requested",
        event_id=derived(tenant_id, name),
        trace_id=trace(tenant_id, name),
        tenant_id=tenant_id,
        conversation_id="conv_1",
        customer_id="cust_1",
        idempotency_key=name,
        occurred_at=at,
        turn_id=name,
        question=f"pergunta {name}",
        answer=f"resposta {name}",
        facts=facts,
    )
    return Recorded(
        event=event, position=Position(topic="memory.update.requested", partition=0, offset=at)
    )


@pytest.mark.integration
async def test_the_nearest_passage_comes_first_with_its_hash(pool: asyncpg.Pool) -> None:
    knowledge = PostgresKnowledge(pool, WordEmbedder())
    added = await knowledge.add_passages("near", "guia.md", GUIDE)

    port: Knowledge = knowledge
    found: tuple[Passage, ...] = await port.search("near", "qual o frete da troca?", limit=2)

    assert added == 3
    best = found[0]
    assert best.text.splitlines()[0] == "Trocas / Frete"
    assert best.citation.sha256 == hashlib.sha256(best.text.encode()).hexdigest()
    assert 1.0 >= best.citation.score > found[1].citation.score >= 0.0


@pytest.mark.integration
async def test_a_document_that_is_added_again_is_embedded_once(pool: asyncpg.Pool) -> None:
    embedder = WordEmbedder()
    knowledge = PostgresKnowledge(pool, embedder)
    await knowledge.add_passages("again", "guia.md", GUIDE)

    assert await knowledge.add_passages("again", "guia.md", GUIDE) == 0
    assert (embedder.asked, await knowledge.documents("again")) == (3, [("guia.md", 3)])


@pytest.mark.integration
async def test_what_a_document_no_longer_says_is_removed(pool: asyncpg.Pool) -> None:
    knowledge = PostgresKnowledge(pool, WordEmbedder())
    await knowledge.add_passages("newer", "guia.md", GUIDE)

    added = await knowledge.add_passages("newer", "guia.md", GUIDE.replace("30 dias", "15 dias"))

    texts = [passage.text for passage in await knowledge.search("newer", "dias", limit=9)]
    assert (added, len(texts)) == (1, 3)
    assert not any("30 dias" in text for text in texts)


@pytest.mark.integration
async def test_a_section_that_moved_to_another_document_is_kept(pool: asyncpg.Pool) -> None:
    knowledge = PostgresKnowledge(pool, WordEmbedder())
    moved = "# Horário\n\nAtendemos de segunda a sexta das 9h às 18h.\n"
    await knowledge.add_passages("t_move", "guia.md", GUIDE)

    await knowledge.add_passages("t_move", "horario.md", moved)
    await knowledge.add_passages("t_move", "guia.md", GUIDE.partition("# Horário")[0])

    assert await knowledge.documents("t_move") == [("guia.md", 2), ("horario.md", 1)]


@pytest.mark.integration
async def test_a_section_of_two_documents_stays_until_the_last_of_them_has_it_no_more(
    pool: asyncpg.Pool,
) -> None:
    knowledge = PostgresKnowledge(pool, WordEmbedder())
    shared = "# Horário\n\nAtendemos de segunda a sexta das 9h às 18h.\n"
    for source in ("guia.md", "lojas.md"):
        await knowledge.add_passages("t_two", source, shared)

    await knowledge.add_passages("t_two", "lojas.md", "Lojas em Natal e Recife.")
    still = await knowledge.documents("t_two")
    await knowledge.add_passages("t_two", "guia.md", "Trocas em 30 dias.")

    assert still == [("guia.md", 1), ("lojas.md", 1)]
    texts = {passage.text for passage in await knowledge.search("t_two", "horário", limit=9)}
    assert texts == {"Lojas em Natal e Recife.", "Trocas em 30 dias."}


@pytest.mark.integration
async def test_a_small_tenant_finds_its_own_beside_a_large_one(pool: asyncpg.Pool) -> None:
    knowledge = PostgresKnowledge(pool, WordEmbedder())
    for number in range(300):
        await knowledge.add_passages("large", f"{number}.md", f"preço do produto {number}")
    await knowledge.add_passages("small", "a.md", "preço do nosso único produto")
    await pool.execute("SET enable_seqscan = off")

    found = await knowledge.search("small", "preço do produto 7", limit=3)

    assert [passage.text for passage in found] == ["preço do nosso único produto"]


@pytest.mark.integration
async def test_every_use_of_a_connection_looks_past_other_tenants(pool: asyncpg.Pool) -> None:
    """The index knows no tenants; the library that reads the flag is loaded by the first vector."""
    told = []
    for _ in range(2):
        async with pool.acquire() as connection:
            await connection.fetchval("SELECT '[1]'::vector <=> '[1]'::vector")
            told.append(await connection.fetchval("SHOW hnsw.iterative_scan"))

    assert told == ["strict_order", "strict_order"]


@pytest.mark.integration
async def test_a_model_with_other_dimensions_is_refused(pool: asyncpg.Pool) -> None:
    knowledge = PostgresKnowledge(pool, WordEmbedder(dimensions=600))

    with pytest.raises(Misconfigured, match="600 dimensions"):
        await knowledge.add_passages("wide", "a.md", "palavras")


@pytest.mark.integration
async def test_the_newest_value_of_a_fact_is_recalled_in_any_order(pool: asyncpg.Pool) -> None:
    knowledge = PostgresKnowledge(pool, WordEmbedder())
    for seed in range(10):
        tenant_id = f"facts{seed}"
        log = [
            remembered(tenant_id, "t1", 1, Fact(name="size", value="37")),
            remembered(tenant_id, "t2", 2, Fact(name="size", value="38")),
            remembered(tenant_id, "t3", 3, Fact(name="city", value="Recife")),
        ] * 2
        random.Random(seed).shuffle(log)  # noqa: S311 - a seed that a failure names
        for recorded in log:
            await Memories(pool).write([recorded])

        recalled = await knowledge.recall(tenant_id, "cust_1", limit=4)

        assert [passage.text for passage in recalled] == [
            "city: Recife",
            "size: 38",
            "pergunta t3\nresposta t3",
            "pergunta t2\nresposta t2",
        ]
        assert {passage.citation.source for passage in recalled} == {"memory"}


@pytest.mark.integration
@pytest.mark.parametrize(
    "state", [BubbleState.DROPPED, BubbleState.FAILED, BubbleState.UNKNOWN], ids=str
)
async def test_an_answer_of_which_a_part_was_not_sent_is_not_recalled(
    pool: asyncpg.Pool, state: BubbleState
) -> None:
    tenant_id = f"unsent {state}"
    story = Story(tenant_id=tenant_id)
    turns = ("t1", "t2", "t3")
    for at, turn_id in enumerate(turns, 1):
        event = replace(
            remembered(tenant_id, turn_id, at).event, conversation_id=story.conversation_id
        )
        await Memories(pool).write([story.recorded(event)])
    await Transcripts(pool).write(
        [
            story.bubble("b1", BubbleState.ACCEPTED, 1, turn_id="t1", text="um"),
            story.bubble("b2", BubbleState.ACCEPTED, 2, turn_id="t2", text="dois"),
            story.bubble("b3", state, 3, turn_id="t2", text="mais"),
            story.bubble("b4", BubbleState.PLANNED, 4, turn_id="t3", text="logo"),
        ]
    )

    recalled = await PostgresKnowledge(pool, WordEmbedder()).recall(tenant_id, "cust_1", limit=2)

    assert [passage.text for passage in recalled] == [
        "pergunta t3\nresposta t3",
        "pergunta t1\nresposta t1",
    ]


@pytest.mark.integration
async def test_a_memory_is_kept_once_however_often_it_comes(pool: asyncpg.Pool) -> None:
    sink = Memories(pool)
    batch = [remembered("once", name, 1) for name in ("t1", "t2", "t1")]
    await sink.write(batch)
    await sink.write(batch)

    assert await pool.fetchval("SELECT count(*) FROM memories WHERE tenant_id = 'once'") == 2


@pytest.mark.integration
async def test_a_worker_of_an_older_release_may_write_vectors_beside_us(
    pool: asyncpg.Pool,
) -> None:
    await Memories(pool).write([remembered("both", "t1", 1)])
    await pool.execute(OLDER, "both", WordEmbedder().vector("pergunta"))

    recalled = await PostgresKnowledge(pool, WordEmbedder()).recall("both", "cust_1", limit=4)
    assert [passage.text for passage in recalled] == ["q\na", "pergunta t1\nresposta t1"]


@pytest.mark.integration
async def test_memories_wait_for_the_tables_of_this_release(pool: asyncpg.Pool) -> None:
    async with pool.acquire() as connection:
        before = connection.transaction()
        await before.start()
        await connection.execute("DELETE FROM memories WHERE embedding IS NULL")
        await connection.execute("ALTER TABLE memories ALTER COLUMN embedding SET NOT NULL")

        lent: Any = Lent(connection)
        with pytest.raises(Refusing, match="whaticket migrate"):
            await Memories(lent).write([remembered("early", "t1", 1)])
        await before.rollback()


@pytest.mark.integration
async def test_nothing_of_another_tenant_is_found_or_recalled(pool: asyncpg.Pool) -> None:
    knowledge = PostgresKnowledge(pool, WordEmbedder())
    await knowledge.add_passages("theirs", "a.md", "segredo da casa")
    await Memories(pool).write([remembered("theirs", "t", 1)])

    assert await knowledge.search("ours", "segredo da casa", limit=5) == ()
    assert await knowledge.recall("ours", "cust_1", limit=5) == ()


@pytest.mark.integration
async def test_another_record_is_nothing_to_remember(pool: asyncpg.Pool) -> None:
    with pytest.raises(Rejected, match="wrong_record"):
        await Memories(pool).write([Story().said("m", "oi", 0)])


def test_a_passage_stands_under_its_headings() -> None:
    assert [chunk.body for chunk in chunks("g", GUIDE)] == [
        "Trocas\nTrocamos em até 30 dias com a nota fiscal.",
        "Trocas / Frete\nO frete da troca é grátis na primeira vez.",
        "Horário\nAtendemos de segunda a sexta das 9h às 18h.",
    ]


def test_a_heading_without_text_is_a_passage_unless_others_stand_under_it() -> None:
    found = chunks("g", "# Loja\n## Aberta todo dia\n## Frete\nGrátis.")

    assert [chunk.body for chunk in found] == ["Loja / Aberta todo dia", "Loja / Frete\nGrátis."]


@given(st.text(alphabet="ab #\n", max_size=900))
def test_every_word_of_a_document_is_in_a_passage(text: str) -> None:
    found = chunks("g", text)

    words = {word for chunk in found for word in re.findall(r"[ab]+", chunk.body)}
    assert set(re.findall(r"[ab]+", text)) <= words
    assert [chunk.ordinal for chunk in found] == list(range(1, len(found) + 1))


def test_a_long_paragraph_is_cut_at_spaces() -> None:
    words = [f"w{number}" for number in range(900)]

    found = chunks("g", " ".join(words))

    assert " ".join(chunk.body for chunk in found).split() == words
    assert max(len(chunk.body) for chunk in found) <= PASSAGE_CHARS


def test_headings_of_any_length_leave_a_passage_its_room() -> None:
    found = chunks("g", f"# {'Trocas ' * 600}\n\n{'preço ' * 400}")

    assert max(len(chunk.body.partition("\n")[2]) for chunk in found) > 500


LONG_HEADINGS = (
    f"# Trocas e devoluções\n## {'Compras retiradas na loja ' * 6}\n### {'Lavados ' * 6}"
)


@pytest.mark.parametrize("headings", ["", LONG_HEADINGS], ids=["bare", "under long headings"])
@pytest.mark.parametrize("text", ["preço " * 900, "価格は百円です。" * 400, '"x" \\ ' * 800])
def test_the_ai_is_shown_all_of_a_passage(headings: str, text: str) -> None:
    found = chunks("g", f"{headings}\n\n{text}")

    noted = KINDS["knowledge.search"].dump([_passage(chunk.body) for chunk in found])
    shown = [data(passage.text, SHOWN_CHARS) for passage in noted]
    assert shown == [chunk.body.strip() for chunk in found]
    said = "".join(body.partition("\n")[2] if headings else body for body in shown)
    assert said.replace(" ", "") == text.replace(" ", "")


def _passage(text: str) -> Passage:
    citation = Citation(passage_id="p", source="g", score=1.0, sha256="0" * 64)
    return Passage(citation=citation, text=text)
