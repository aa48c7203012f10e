"""Commands: model."""

from __future__ import annotations

from typing import Annotated

import typer

HELP = """Serve an OpenAI-compatible model on this machine.

`offline-rules` (the default) is NO language model: rules answer from the passages in the prompt
and ask for tools, the same way every time, without network or key. `smollm2` is a real but very
small model on the CPU, without tools; it needs the extra `local-model`. For a capable model set
OPENAI_BASE_URL, OPENAI_API_KEY and OPENAI_MODEL instead.
"""


def register(app: typer.Typer) -> None:
    """Register the commands of this module."""

    @app.command(help=HELP)
    def model(
        port: Annotated[int, typer.Option(help="Port; 0 is any free one.")] = 9080,
        host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
        kind: Annotated[str, typer.Option("--model", help="`offline` or `smollm2`.")] = "offline",
        latency_ms: Annotated[int, typer.Option(min=0, help="How long an answer takes.")] = 0,
        seed: Annotated[int, typer.Option(help="Chooses among wordings.")] = 0,
    ) -> None:
        from streams.local.model.serve import serve

        def tell(url: str) -> None:
            typer.echo(f"model ({kind}): OPENAI_BASE_URL={url}")

        serve(host, port, kind=kind, latency_ms=latency_ms, seed=seed, tell=tell)
