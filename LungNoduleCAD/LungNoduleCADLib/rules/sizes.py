"""A nodule's size in the unit that decides, and how it compares with a bound or with the prior."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ..errors import InputError
from .facts import Basis, NoduleFacts, rounded, tenths


@dataclass(frozen=True)
class Size:
    """A mean diameter or a volume, whichever decides, rounded as the guidelines report it: to 0.1 mm or whole mm3."""

    value: float
    basis: Basis

    @classmethod
    def of(cls, value: float, basis: Basis) -> Size:
        return cls(tenths(value) / 10 if basis == "diameter" else float(rounded(value)), basis)

    @property
    def diameter_mm(self) -> float:
        """Itself, or the diameter of the sphere of its volume."""
        return self.value if self.basis == "diameter" else (6 * self.value / math.pi) ** (1 / 3)

    def __str__(self) -> str:
        return f"{self.value:.1f} mm" if self.basis == "diameter" else f"{self.value:.0f} mm3"


def size_of(nodule: NoduleFacts, basis: Basis) -> Size:
    """Of the whole nodule.

    :raises InputError: when volumes decide and it has none.
    """
    if basis == "diameter":
        return Size.of(nodule.mean_diameter_mm, basis)
    if nodule.volume_mm3 is None:
        raise InputError("The nodule has no volume; classify it by its diameter, or measure its volume.")
    return Size.of(nodule.volume_mm3, basis)


def solid_size_of(nodule: NoduleFacts, basis: Basis) -> Size:
    """Of what is solid in it: all of a solid nodule, nothing of ground-glass, the solid part of a part-solid one, or
    the whole where that part was not measured."""
    if nodule.density == "ground-glass":
        return Size.of(0.0, basis)
    part = nodule.solid_diameter_mm if basis == "diameter" else nodule.solid_volume_mm3
    return size_of(nodule, basis) if nodule.density != "part-solid" or part is None else Size.of(part, basis)


def larger_by_mm(now: Size, before: Size) -> float:
    """Change of the diameter, mm to a tenth."""
    return tenths(now.diameter_mm - before.diameter_mm) / 10


def describe(nodule: NoduleFacts, basis: Basis) -> str:
    """The nodule's type and sizes in words."""
    name = "volume" if basis == "volume" else "mean diameter"
    words = f"{nodule.density.capitalize()} nodule, {name} {size_of(nodule, basis)}"
    if nodule.note:
        words += f" ({nodule.note})"
    if nodule.density == "part-solid":
        part = nodule.solid_diameter_mm if basis == "diameter" else nodule.solid_volume_mm3
        words += f", solid part {solid_size_of(nodule, basis)}"
        words += " (not measured, so the whole nodule's)" if part is None else ""
    return words
