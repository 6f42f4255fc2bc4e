"""What nodule is wanted: `NoduleSpec`, and the populations that specs are drawn from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import numpy as np

from ..errors import InputError
from ..findings import DensityType
from .nodule_shape import NODULE_SHAPES, NoduleShape
from .outline import Outline, pick

Location = Literal["isolated", "juxtapleural", "juxtavascular"]
LOCATIONS: tuple[Location, ...] = get_args(Location)
DENSITIES: tuple[DensityType, ...] = get_args(DensityType)
Calcification = Literal["diffuse", "central", "laminated", "popcorn"]
CALCIFICATIONS: tuple[Calcification, ...] = get_args(Calcification)
"""The benign patterns (Swensen et al. 2000)."""

DIAMETER_RANGE_MM = (3.0, 30.0)
"""LIDC contours nodules from 3 mm (Armato et al. 2011); above 30 mm they are masses (Fleischner glossary)."""

_MEDIAN_DIAMETER_MM = 6.4
_LOG_SD_BELOW, _LOG_SD_ABOVE = 0.27, 0.66


@dataclass(frozen=True)
class NoduleSpec:
    """A wanted nodule. What is left None is drawn from the distributions of this module by the caller's generator.

    :param diameter_mm: diameter of the sphere of the same volume, without spicules, mm.
    :param hu: mean density of the body, HU (of the ground-glass part of a part-solid nodule).
    :param core_fraction: diameter of the solid core of a part-solid nodule over the whole's.
    :param edge_mm: width over which the edge goes from outside to inside, mm.
    :param elongation: longest over shortest axis.
    :param center_lps: a fixed place in the phantom; None lets the phantom choose one that honours `location`.
    :param outline: a drawn outline, which takes the place of `shape`.
    :param roughness_mm: standard deviation of the surface about its smooth form, mm.
    :param heterogeneity_hu: standard deviation of the body's density over some millimetres, HU.
    :param haze: ground-glass around the body, as a share of its density at the surface; it fades outwards.
    :param calcification: where a calcified nodule's calcium lies; the rest is soft tissue.
    :param cavity_fraction: diameter of the air in the body over the whole's; 0 is no cavity.
    :param vessels: how many feeding vessels leave the nodule.
    :param tags: how many thin strands run far outwards (pleural tags, septa).
    :param spicules: how many short thin strands surround it, whatever its shape.
    :raises InputError: when a value is outside what can be simulated.
    """

    diameter_mm: float
    density: DensityType = "solid"
    location: Location = "isolated"
    shape: NoduleShape = "ellipsoid"
    hu: float | None = None
    core_fraction: float | None = None
    edge_mm: float | None = None
    elongation: float | None = None
    center_lps: tuple[float, float, float] | None = None
    outline: Outline | None = None
    roughness_mm: float = 0.0
    heterogeneity_hu: float = 0.0
    haze: float = 0.0
    calcification: Calcification = "diffuse"
    cavity_fraction: float = 0.0
    vessels: int = 0
    tags: int = 0
    spicules: int = 0

    def __post_init__(self) -> None:
        if not 1.0 <= self.diameter_mm <= 60.0:
            raise InputError(f"The nodule diameter {self.diameter_mm} mm cannot be simulated; choose 1 to 60 mm.")
        choices = {
            "density": DENSITIES, "location": LOCATIONS, "shape": NODULE_SHAPES, "calcification": CALCIFICATIONS,
        }  # fmt: skip
        for name, allowed in choices.items():
            value = getattr(self, name)
            if value not in allowed:
                raise InputError(f"The nodule {name} '{value}' is unknown; choose one of {', '.join(allowed)}.")
        if self.core_fraction is not None and not 0 < self.core_fraction < 1:
            raise InputError(f"The solid core's share {self.core_fraction} of the diameter must lie between 0 and 1.")
        if self.edge_mm is not None and self.edge_mm <= 0:
            raise InputError(f"The nodule's edge width {self.edge_mm} mm must be above 0.")
        if self.elongation is not None and not 1 <= self.elongation <= 3:
            raise InputError(f"The nodule's elongation {self.elongation} must lie between 1 and 3.")
        if not (0 <= self.haze <= 1 and 0 <= self.cavity_fraction < 1):
            raise InputError(f"Haze {self.haze} and cavity {self.cavity_fraction} must lie between 0 and 1.")
        if min(self.roughness_mm, self.heterogeneity_hu, self.vessels, self.tags, self.spicules) < 0:
            raise InputError("A nodule's roughness, heterogeneity and number of strands must be 0 or more.")


@dataclass(frozen=True)
class Population:
    """From what nodules are drawn.

    :param densities: shares of `DENSITIES`.
    :param locations: shares of `LOCATIONS`.
    :param detailed: whether what the eye sees in real nodules beyond shape and density is drawn too: rough surfaces,
        uneven densities, haze, strands, cavities, patterns of calcium.
    """

    densities: tuple[float, ...]
    locations: tuple[float, ...]
    detailed: bool


PLAIN = Population((0.77, 0.08, 0.07, 0.07, 0.01), (0.4, 0.3, 0.3), detailed=False)
"""Mostly solid, about one in seven subsolid (19 % of the positive screening results of Henschke et al. 2002). The
shares of locations are a choice, not measured: each is frequent enough to be tested. What phantoms are drawn from."""
LIDC = Population((0.71, 0.06, 0.09, 0.14, 0.0), (0.3, 0.3, 0.4), detailed=True)
"""As LIDC's readers rated 743 of LUNA16's nodules: texture 5 in 81 % of them, 3 or 4 in 9 %, 1 or 2 in 10 %;
calcification 1 to 5 (popcorn to central) in 12 %, fat in none. Locations were counted by eye on real nodules at 1 mm:
most hang on a vessel, a third lies against the pleura."""

_BODY_HU: dict[DensityType, tuple[float, float]] = {
    "solid": (25.0, 50.0), "part-solid": (-480.0, 110.0), "ground-glass": (-520.0, 90.0), "calcified": (950.0, 250.0),
    "fat": (-80.0, 20.0),
}  # fmt: skip
"""Mean and SD of LIDC's bodies, HU, such that the 90th percentile of their blurred density agrees with real ones' at
each texture rating (medians -67, -215 and -490 HU for ratings 5, 3-4 and 1-2) and in the calcified."""
_SOLID_EDGE_MM = (0.4, 2.0)
"""Over how much a small solid body ends; up to 2.5 mm more at 20 mm. Steps would be as steep as the chest wall's in the
same scan, which real nodules' edges are not: alveoli at their border are partly filled."""
_CORE_FRACTION = (0.45, 0.85)
"""A solid core of a third of the diameter hardly shows once the scan has blurred it."""
_FAINT_HAZE, _MOST_FAINT_HAZE, _CLEAR_HAZE = 0.08, 0.4, (0.1, 0.5)
"""Haze of small nodules that no reader calls hazy, at most; the same of large ones; and of hazy nodules. Two to three
millimetres from real nodules of 5 to 8 mm the lung is about 8 HU denser than round simulated ones without haze, from
there on about 25 HU: larger nodules grow into the lung around them, and it is pressed together."""

_CALCIFIED_UP_TO_MM, _LEAST_CALCIFIED_HU, _CALCIUM_THINS = 5.5, 250.0, 2.5
"""Calcified nodules are small: readers rated 15 to 20 % of those below 6 mm so, and one in twenty of those above 7 mm;
shares fall by the square of the diameter. Small granulomas are calcium throughout, larger ones are less so and mostly
stay below 400 HU: density falls by this power of the diameter."""
_RATED_MM = (5.1, 6.8, 9.5, 14.2, 21.1)
_SPICULATED, _MARKEDLY = (0.05, 0.13, 0.22, 0.46, 0.69), (0.01, 0.05, 0.10, 0.22, 0.49)
"""By diameter: how many nodules LIDC's readers rated spiculated (2 to 5 of 5), and how many markedly (3 to 5), as
`python -m training.reader_ratings` counts them."""
_TAGGED_SHARE, _CAVITY_SHARE, _HAZY_SHARE = 0.2, 0.025, 0.12
"""Hazy: readers rated the margin 1 or 2 (poorly defined) in 12 to 21 % at any size, subsolid ones among them;
large ones often have haze in parts, as the measures of their edges say. The other two were set by eye."""


def draw_nodule_spec(
    rng: np.random.Generator,
    population: Population = PLAIN,
    outlines: Sequence[Outline] = (),
    **fixed: Any,
) -> NoduleSpec:
    """Draw a nodule as screening finds them; `fixed` fields of `NoduleSpec` are kept.

    Diameters: two half-lognormals meeting at the median, fitted to LUNA16's 1186 nodules (median 6.4 mm, 5th to 95th
    percentile 4.1 to 19 mm), cut to 3-30 mm. The shares of shapes are a choice, not measured: each is frequent enough
    to be tested; larger nodules are less often smooth.

    :param outlines: drawn outlines; where there are any, two in three nodules have one of them instead of a shape with
        a formula.
    """
    side = rng.random() < 0.5
    diameter = _MEDIAN_DIAMETER_MM * np.exp(abs(rng.standard_normal()) * (-_LOG_SD_BELOW if side else _LOG_SD_ABOVE))
    diameter = float(fixed.get("diameter_mm") or np.clip(diameter, *DIAMETER_RANGE_MM))
    rough = min(diameter / 30.0, 0.6)
    smooth = 1 - rough
    shares = [0.3 * smooth, 0.45 * smooth, 0.25 * smooth + 0.3 * rough, 0.4 * rough, 0.3 * rough]
    drawn = NoduleSpec(
        diameter_mm=diameter,
        density=str(rng.choice(DENSITIES, p=population.densities)),  # type: ignore[arg-type]
        location=str(rng.choice(LOCATIONS, p=population.locations)),  # type: ignore[arg-type]
        shape=str(rng.choice(NODULE_SHAPES, p=shares)),  # type: ignore[arg-type]
    )
    if outlines and rng.random() < 2 / 3:
        drawn = replace(drawn, outline=pick(outlines, diameter, rng))
    if population.detailed and drawn.density == "calcified" and rng.random() > (_CALCIFIED_UP_TO_MM / diameter) ** 2:
        drawn = replace(drawn, density="solid")
    density = fixed.get("density", drawn.density)
    location = fixed.get("location", drawn.location)
    details = _details(diameter, density, location, rng) if population.detailed else {}
    if fixed.get("shape", drawn.shape) == "sphere":
        details.pop("elongation", None)
    return replace(drawn, **{**details, **fixed})


def _details(diameter: float, density: DensityType, location: Location, rng: np.random.Generator) -> dict[str, Any]:
    """What real nodules show beyond shape and density; ranges without another source were set so that the measures of
    `training.nodule_features` agree with LIDC's nodules, which `training.realism` compares."""
    size = min(diameter / 20, 1.0)
    subsolid = density in ("ground-glass", "part-solid")
    hazy = rng.random() < _HAZY_SHARE + 0.45 * size**2 and density != "calcified"
    cavity = rng.random() < _CAVITY_SHARE * (1 + 3 * size) and density == "solid" and diameter > 8
    # It is put beside a vessel of the lung, and needs no more of its own.
    hanging = int(rng.random() < (0.5 if location == "juxtavascular" else 0.25))
    # Small nodules are mostly smooth; large ones mostly grow into the lung unevenly.
    roughness = float(rng.uniform(0.1, 0.4) + size**1.5 * rng.uniform(0.1, 1.6) + (0.2 * size if subsolid else 0))
    edge = min(float(rng.uniform(_SOLID_EDGE_MM[0], _SOLID_EDGE_MM[1] + 2.5 * size**2)), 0.4 * diameter)
    haze = rng.uniform(*_CLEAR_HAZE) if hazy else rng.uniform(0, min(_FAINT_HAZE + 1.5 * size**3, _MOST_FAINT_HAZE))
    return {
        **({} if subsolid else {"edge_mm": edge}),
        **({"core_fraction": float(rng.uniform(*_CORE_FRACTION))} if density == "part-solid" else {}),
        "hu": _body_hu(diameter, density, rng),
        "roughness_mm": roughness if density != "calcified" else 0.1,
        "heterogeneity_hu": float(rng.uniform(40, 110) if subsolid else rng.uniform(5, 30 + 25 * size)),
        "haze": float(haze) if density != "calcified" else 0.0,
        "elongation": min(1.05 + float(rng.exponential(0.4)), 2.5),
        "calcification": str(rng.choice(CALCIFICATIONS, p=[0.8, 0.12, 0.04, 0.04])),
        "cavity_fraction": float(rng.uniform(0.25, 0.6)) if cavity else 0.0,
        "vessels": hanging + int(rng.poisson(1.8 * size)),
        "tags": int(rng.integers(1, 4 + int(2 * size))) if rng.random() < _TAGGED_SHARE + 0.4 * size else 0,
        "spicules": _spicules(diameter, rng) if density != "calcified" else 0,
    }


def _body_hu(diameter: float, density: DensityType, rng: np.random.Generator) -> float:
    """Mean density of a body; large solid ones have a little more blood, large calcified ones less calcium."""
    mean, deviation = _BODY_HU[density]
    if density == "solid":
        mean += 20 * min(diameter / 20, 1.0)
    elif density == "calcified":
        mean *= min(_CALCIFIED_UP_TO_MM / diameter, 1.0) ** _CALCIUM_THINS
    least = _LEAST_CALCIFIED_HU if density == "calcified" else -750
    return float(np.clip(rng.normal(mean, deviation), least, 2000))


def _spicules(diameter: float, rng: np.random.Generator) -> int:
    """None, a few, or a corona of them, as often as readers saw that at a size."""
    drawn = rng.random()
    if drawn < np.interp(diameter, _RATED_MM, _MARKEDLY):
        return int(rng.uniform(0.8, 1.8) * min(diameter, 20.0))
    return int(rng.integers(3, 9)) if drawn < np.interp(diameter, _RATED_MM, _SPICULATED) else 0
