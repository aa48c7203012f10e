"""The templates that the simulated business account has, and what Meta says of others.

Source: Meta, "WhatsApp Cloud API: Error codes", 132000 to 132015.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from streams.local.simulator.refusals import NOT_FOUND, Refusal


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """One approved template.

    Attributes:
        name: Its name.
        language: Its language, such as ``pt_BR``.
        parameters: Placeholders of its body.
        paused: Meta paused it because customers blocked or reported it.
    """

    name: str
    language: str
    parameters: int = 0
    paused: bool = False


SHIPPED: Final = (
    Template(name="hello_world", language="en_US"),
    Template(name="retomar_atendimento", language="pt_BR", parameters=1),
    Template(name="pedido_atualizado", language="pt_BR", parameters=2),
)
"""What a simulated account has from the start; ``POST /_simulator/templates`` adds more."""


class Templates:
    """Templates by name and language."""

    def __init__(self) -> None:
        self.known = {(each.name, each.language): each for each in SHIPPED}

    def add(self, template: Template) -> None:
        """Add or replace a template."""
        self.known[template.name, template.language] = template

    def refusal(self, content: dict[str, Any]) -> Refusal | None:
        """Say what is wrong with the ``template`` object of a message of the right shape."""
        name, language = str(content["name"]), str(content["language"]["code"])
        found = self.known.get((name, language))
        if found is None:
            why = f"template name ({name}) does not exist in {language}"
            return Refusal(132001, why, NOT_FOUND)
        if found.paused:
            return Refusal(132015, f"Template {name} is paused due to low quality.")
        given = _parameters(content)
        if given != found.parameters:
            return Refusal(
                132000,
                f"body: number of localizable_params ({given}) does not match the expected"
                f" number of params ({found.parameters})",
            )
        return None


def _parameters(content: dict[str, Any]) -> int:
    """Return how many parameters are given for the body."""
    components = content.get("components")
    return sum(
        len(component["parameters"])
        for component in (components if isinstance(components, list) else [])
        if isinstance(component, dict)
        and str(component.get("type", "")).lower() == "body"
        and isinstance(component.get("parameters"), list)
    )
