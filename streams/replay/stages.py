"""The stages as workers have them, over a world that is never asked."""

from __future__ import annotations

from typing import Any, NoReturn

from agents.outbound import Desk
from agents.toolbox import shipped
from streams.processor.stage import Stage
from streams.processor.stages import ai_stage, dispatch_stage, outbound_stage, tools_stage
from streams.replay.recalled import Unheard, Versions


class Nowhere:
    """Stands for every port; replay tells what was heard and never asks it."""

    def __getattr__(self, method: str) -> Any:
        def asked(*_: Any, **__: Any) -> NoReturn:
            raise Unheard(method)

        return asked


def offline(versions: Versions) -> dict[str, Stage]:
    """Return every stage by name.

    Args:
        versions: The settings of tenants that are on the log.
    """
    nowhere: Any = Nowhere()
    toolbox = shipped(nowhere)
    stages = (
        dispatch_stage(versions, takeovers=nowhere, archive=nowhere),
        ai_stage(
            model=nowhere, knowledge=nowhere, tenants=versions, toolbox=toolbox, clock=nowhere
        ),
        tools_stage(toolbox=toolbox, claims=nowhere, tenants=versions, clock=nowhere),
        outbound_stage(
            Desk(claims=nowhere, permits=nowhere, courier=nowhere, tenants=versions, clock=nowhere)
        ),
    )
    return {stage.name: stage for stage in stages}
