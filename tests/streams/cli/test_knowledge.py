from __future__ import annotations

from pathlib import Path

import pytest

from sinks.database import open_pool
from sinks.knowledge import PostgresKnowledge
from streams.embedding import open_embedder
from streams.settings import Settings
from tests.streams.cli.conftest import CommandLine

pytestmark = pytest.mark.integration

TENANT = "loja"
EXCHANGES = "# Trocas\n\nTrocamos em até 30 dias com a nota fiscal.\n"
OPENING = "# Horário\n\nAtendemos de segunda a sexta das 9h às 18h.\n"
FREIGHT = "# Frete\n\nO frete é grátis acima de 200 reais.\n"


class Files:
    """Documents in a folder, good and bad."""

    def __init__(self, folder: Path) -> None:
        self.guide = folder / "guia.md"
        self.guide.write_text(EXCHANGES + OPENING)
        self.freight = folder / "frete.md"
        self.freight.write_text(FREIGHT)
        self.binary = folder / "foto.md"
        self.binary.write_bytes(b"\xff\xd8")
        self.gone = folder / "gone.md"
        self.folder = folder / "newer"
        self.folder.mkdir()
        self.newer_guide = self.folder / "guia.md"
        self.newer_guide.write_text(OPENING)


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


@pytest.fixture
async def shop(whaticket: CommandLine) -> CommandLine:
    """The command line over a database with the company ``loja``."""
    await whaticket.run("migrate")
    await whaticket.run("tenant", "add", TENANT, "--wait", "0")
    return whaticket


async def added(shop: CommandLine, *files: Path, tenant: str = TENANT) -> tuple[int, str]:
    return await shop.run("knowledge", "add", *map(str, files), "--tenant", tenant)


async def test_documents_are_added_listed_found_and_replaced(
    shop: CommandLine, files: Files, postgres_dsn: str, provisioned: Settings
) -> None:
    """One story: every command loads the sentence encoder anew."""
    first = await added(shop, files.guide, files.freight)
    again = await added(shop, files.guide, files.freight)
    listed = await shop.run("knowledge", "list", "--tenant", TENANT)
    shorter = await added(shop, files.newer_guide)
    after = await shop.run("knowledge", "list", "--tenant", TENANT)
    others = await shop.run("knowledge", "list", "--tenant", "outra")

    assert first == (0, "guia.md\t2 new passages\nfrete.md\t1 new passages\n")
    assert again == (0, "guia.md\t0 new passages\nfrete.md\t0 new passages\n")
    assert listed == (0, "frete.md\t1 passages\nguia.md\t2 passages\n")
    assert shorter == (0, "guia.md\t0 new passages\n")
    assert after == (0, "frete.md\t1 passages\nguia.md\t1 passages\n")
    assert others == (0, "")
    assert await nearest(postgres_dsn, provisioned, "Qual é o preço do frete?") == "frete.md"


async def nearest(dsn: str, settings: Settings, question: str) -> str:
    """Source of the passage that the AI would be given first."""
    pool = await open_pool(dsn)
    try:
        async with open_embedder(settings) as embedder:
            found = await PostgresKnowledge(pool, embedder).search(TENANT, question, limit=1)
    finally:
        await pool.close()
    return found[0].citation.source


async def test_what_cannot_be_added_is_told_and_nothing_is(shop: CommandLine, files: Files) -> None:
    await shop.run("tenant", "add", "vazia", "--wait", "0")

    refused = [
        await added(shop, files.guide, bad, tenant="vazia")
        for bad in (files.gone, files.folder, files.binary, files.newer_guide)
    ]
    unknown = await added(shop, files.guide, tenant="nobody")
    listed = [await shop.run("knowledge", "list", "--tenant", name) for name in ("vazia", "nobody")]

    assert refused == [
        (2, "whaticket: cannot read gone.md: No such file or directory\n"),
        (2, "whaticket: cannot read newer: Is a directory\n"),
        (2, "whaticket: foto.md is no text in UTF-8\n"),
        (2, "whaticket: two of the files have the same name: a name is one document\n"),
    ]
    assert unknown == (2, "whaticket: no tenant is called nobody\n")
    assert listed == [(0, ""), (0, "")]


async def test_postgres_that_is_down_is_told(shop: CommandLine) -> None:
    shop.environment["POSTGRES_DSN"] = "postgresql://nobody@127.0.0.1:1/nothing"

    answer = await shop.run("knowledge", "list", "--tenant", TENANT)

    assert answer == (
        1,
        "whaticket: postgres is not available; POSTGRES_DSN in the environment says where it is\n",
    )
