"""Inside the lungs: lobes and fissures, the vessel and airway trees of one patient, and the parenchyma's texture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from .anatomy import CARINA, HILUM, Anatomy
from .trees import Tubes, grow_tree, line_tubes, tree_tubes

END_POINT_PITCH_MM = 7.2
"""Spacing of the points that the trees supply: one per 0.37 ml, some 6,000 in a lung, so that twelve to fourteen
divisions lie between hilum and periphery and the last branches end 5 mm from the pleura, as on thin-slice CT."""
VESSEL_END_RADIUS_MM = 0.31
"""Radius of the last branches drawn; Murray's law then gives lobar arteries 6 to 8 mm across, as Huang et al. (J Appl
Physiol 1996) measured on casts."""
BRONCHUS_TO_ARTERY = 0.72
"""Inner bronchial over arterial diameter; 0.65 to 0.70 in healthy adults (Matsuoka et al., AJR 2003)."""
THINNEST_LUMEN_MM = 0.75
"""Airways with a smaller lumen radius are not drawn: CT shows airways down to about 2 mm across."""
AIR_HU, WALL_HU = -995.0, 10.0

_GRAVITY_HU_PER_MM = 0.35
"""Parenchyma is denser towards the back of a supine patient: some tens of HU over a lung in inspiration."""


@dataclass(frozen=True, eq=False)
class LungTrees:
    """What is drawn into the lungs, in drawing order: vessels, airway walls, airway lumens."""

    vessels: Tubes
    airway_walls: Tubes
    airway_lumens: Tubes


def fissure_depth(x: NDArray[np.floating], y: NDArray[np.floating], z: NDArray[np.floating] | float) -> tuple[Any, Any]:
    """Distances above the oblique fissure and the right lung's horizontal fissure, mm, in average-adult coordinates.

    The oblique fissures run from behind and above (about T4) to the front of the diaphragm, the horizontal one at the
    height of the fourth costal cartilage.
    """
    oblique = (z - 112 - 1.05 * y + 5 * np.sin(np.asarray(x) / 22)) / 1.45
    horizontal = z - 118 - 0.12 * y + 4 * np.cos(np.asarray(x) / 25)
    return oblique, horizontal


def build_trees(anatomy: Anatomy, rng: np.random.Generator) -> LungTrees:
    """Grow both lungs' arteries, veins and airways, and the trachea down to the hila."""
    vessels, walls, lumens = [], [], []
    for side in (-1, 1):
        roots = {name: anatomy.to_patient(np.array(HILUM[name][side])) for name in HILUM}
        points, lobe = _end_points(anatomy, side, rng)
        arteries = grow_tree(points, lobe, roots["artery"], rng)
        artery_radii = arteries.radii_mm(VESSEL_END_RADIUS_MM)
        vessels.append(tree_tubes(arteries, artery_radii, np.ones(len(artery_radii), dtype=bool)))

        # A bronchus runs along each artery, as far to its side as the two walls need.
        lumen_radii = BRONCHUS_TO_ARTERY * artery_radii
        wall_radii = 1.22 * lumen_radii + 0.25
        beside = artery_radii + wall_radii + 0.2
        beside[0] = 0.0
        airway = arteries.positions.copy()
        airway[0] = roots["airway"]
        bronchi = type(arteries)(airway, arteries.parents, arteries.flow, arteries.sideways)
        seen = lumen_radii >= THINNEST_LUMEN_MM
        walls.append(tree_tubes(bronchi, wall_radii, seen, beside))
        lumens.append(tree_tubes(bronchi, lumen_radii, seen, beside))
        main = np.stack([anatomy.to_patient(np.array(CARINA)), roots["airway"]])
        lumens.append(line_tubes(main, np.array([6.8, 5.6])))
        walls.append(line_tubes(main, np.array([8.2, 6.9])))

        points, lobe = _end_points(anatomy, side, rng)
        veins = grow_tree(points, lobe, roots["vein"], rng)
        vein_radii = veins.radii_mm(VESSEL_END_RADIUS_MM)
        vessels.append(tree_tubes(veins, vein_radii, np.ones(len(vein_radii), dtype=bool)))

    larynx = anatomy.to_patient(np.array([(0.0, 2.0, 330.0), (-1.0, 8.0, 240.0), CARINA]))
    lumens.append(line_tubes(larynx, np.array([8.6, 8.8, 8.2])))
    walls.append(line_tubes(larynx, np.array([10.2, 10.3, 9.7])))
    drawn = Tubes.joined(vessels)
    depth = anatomy.grid.sample(anatomy.lung, (drawn.starts + drawn.ends) / 2)
    # Thin branches that would cut a corner through heart, diaphragm or chest wall are left out.
    drawn = drawn.chosen((depth > -0.5) | (np.minimum(drawn.start_radii, drawn.end_radii) > 2.6))
    return LungTrees(drawn, Tubes.joined(walls), Tubes.joined(lumens))


def parenchyma_hu(y_mm: NDArray[np.floating], mean_hu: float) -> NDArray[np.float32]:
    """Mean density of the parenchyma by height above the table, HU; `mean_hu` at y = 0."""
    return (mean_hu + _GRAVITY_HU_PER_MM * np.asarray(y_mm)).astype(np.float32)


def parenchyma_texture(
    shape: tuple[int, int, int], spacing_kji_mm: NDArray[np.float64], rng: np.random.Generator
) -> NDArray[np.float32]:
    """A periodic block of fine density fluctuation, HU: vessels and septa too small to be drawn one by one."""
    white = rng.standard_normal(shape, dtype=np.float32)
    fine = gaussian_filter(white, 0.7 / spacing_kji_mm, mode="wrap")
    coarse = gaussian_filter(white, 4.0 / spacing_kji_mm, mode="wrap")
    # Vessels only add density, so the fluctuation is skewed: many faint lows, few bright specks.
    specks = np.exp(1.1 * fine / fine.std())
    texture = 20 * (specks - specks.mean()) / specks.std() + 6 * coarse / coarse.std()
    return texture.astype(np.float32)


def _end_points(anatomy: Anatomy, side: int, rng: np.random.Generator) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """Evenly spread points in one lung, (n, 3) x, y, z mm, and the lobe of each."""
    pitch = END_POINT_PITCH_MM
    grid = anatomy.grid
    low = np.array(grid.origin_zyx)
    high = low + (np.array(grid.shape) - 1) * grid.step_mm
    low[2], high[2] = (low[2], 0.0) if side < 0 else (0.0, high[2])
    axes = [np.arange(a + pitch / 2, b, pitch) for a, b in zip(low, high, strict=True)]
    zyx = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    points = (zyx + rng.uniform(-0.45, 0.45, zyx.shape) * pitch)[:, ::-1]
    points = points[grid.sample(anatomy.lung, points) > 2.0]
    average = points / anatomy.scale
    oblique, horizontal = fissure_depth(*average.T)
    lobe = np.where(oblique < 0, 0, 1)
    if side < 0:
        lobe = np.where((oblique >= 0) & (horizontal < 0), 2, lobe)
    return points, lobe.astype(np.intp)
