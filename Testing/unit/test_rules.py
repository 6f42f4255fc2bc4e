"""Facts for the guidelines, and what a reader may say over them."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import pytest
from rules_inputs import solid

from LungNoduleCADLib.errors import InputError
from LungNoduleCADLib.findings import Measurements
from LungNoduleCADLib.rules import Recommendation, facts_of, fleischner, lung_rads, lung_rads_exam, override

NOON = datetime(2024, 5, 1, 12, tzinfo=timezone.utc)


def measured(**more: Any) -> Measurements:
    values: dict[str, Any] = {
        "solid_diameter_mm": 5.04, "solid_volume_mm3": 60.0, "juxtapleural": True, **more,
    }  # fmt: skip
    return Measurements(9.0, 10.04, 8.16, 380.0, -300.0, -700.0, 60.0, "part-solid", **values)


def test_facts_come_from_measurements() -> None:
    facts = facts_of(measured())
    assert (facts.mean_diameter_mm, facts.solid_diameter_mm) == (9.1, 5.04)
    assert (facts.volume_mm3, facts.solid_volume_mm3, facts.juxtapleural) == (380.0, 60.0, True)
    assert facts_of(measured(solid_diameter_mm=9.3)).solid_diameter_mm == 9.1
    assert facts_of(measured(juxtapleural=None)).juxtapleural is False


def test_a_readers_callipers_decide_and_the_automatic_value_stays_beside() -> None:
    facts = facts_of(measured(), callipers_mm=(7.0, 4.8), solid_callipers_mm=(4.0, 3.0), smooth=True)
    assert (facts.mean_diameter_mm, facts.solid_diameter_mm, facts.volume_mm3) == (5.9, 3.5, None)
    found = lung_rads(facts)
    assert found.category == "2"
    assert "callipers, 9.1 mm measured automatically" in found.reason
    assert facts_of(measured(), density="ground-glass").density == "ground-glass"


def test_a_reader_overrides_and_the_suggestion_stays_beside() -> None:
    suggestion = lung_rads(solid(9.0))
    assert str(suggestion) == "Lung-RADS v2022 4A (suggested)"
    decided = override(suggestion, "4B", management="Referral", reader="Dr A", reason="growing by eye", at=NOON)
    assert (decided.category, decided.final, decided.final_management) == ("4A", "4B", "Referral")
    assert str(decided) == "Lung-RADS v2022 4B (Dr A; suggested 4A)"
    assert decided.overridden_by is not None and decided.overridden_by.at == NOON
    again = override(decided, "3", management="CT in 6 months", reader="Dr B", reason="second look", at=NOON)
    assert (again.category, again.final) == ("4A", "3")
    assert suggestion.overridden_by is None


@pytest.mark.parametrize("empty", ["category", "management", "reader", "reason"])
def test_an_override_says_who_what_and_why(empty: str) -> None:
    given = {"category": "2", "management": "none", "reader": "Dr A", "reason": "scar", empty: " "}
    with pytest.raises(InputError, match=empty):
        override(lung_rads(solid(9.0)), at=NOON, **given)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="zone"):
        override(lung_rads(solid(9.0)), "2", management="a", reader="b", reason="c", at=datetime(2024, 1, 1))


def test_every_recommendation_says_where_it_is_from() -> None:
    found: list[Recommendation] = [lung_rads(solid(9.0)), fleischner(solid(9.0)), lung_rads_exam([])]
    assert all(r.source and r.reason and r.management and r.guideline for r in found)
