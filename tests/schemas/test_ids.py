from __future__ import annotations

from uuid import UUID, uuid5

from hypothesis import given
from hypothesis import strategies as st

from schemas.ids import NAMESPACE, derived, trace

Parts = st.lists(st.text(st.characters(exclude_categories=["Cs"])) | st.integers(), min_size=1)


@given(parts=Parts)
def test_an_id_is_the_uuid5_of_its_parts(parts: list[object]) -> None:
    name = "\x1f".join(map(str, parts))

    assert derived(*parts) == str(uuid5(NAMESPACE, name))
    assert trace(*parts) == uuid5(NAMESPACE, f"trace\x1f{name}").hex


def test_an_id_says_its_version_and_variant() -> None:
    assert {(UUID(derived(n)).version, UUID(derived(n)).variant) for n in range(50)} == {
        (5, "specified in RFC 4122")
    }
