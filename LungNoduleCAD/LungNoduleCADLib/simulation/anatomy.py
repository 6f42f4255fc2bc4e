"""The phantom's large anatomy as smooth distance fields on a coarse grid: body, muscle, lungs, blood pool, bone.

Dimensions are those of an average adult in deep inspiration with the arms raised, after cross-sectional anatomy and the
adult reference phantoms of ICRP Publication 110; each seed stretches them by a few per cent. Frame: x to the patient's
left, y posterior, z towards the head, mm, z = 0 at the lungs' lowest recess and about 262 at the apices.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from . import skeleton
from .fields import Field, Grid, Points, add_tube, ellipsoid, normalised, smooth_max, smooth_min, superellipse, table
from .hull import HULL_Z, hull_axes, pleural_hull

_BODY_HALF_WIDTH = (148, 150, 153, 156, 160, 162, 160, 152, 140, 120)
_BODY_HALF_DEPTH = (112, 115, 118, 117, 112, 105, 96, 88, 80, 66)

FAT_HU, MUSCLE_HU, SKIN_HU = -105.0, 55.0, 20.0
"""Soft-tissue densities at 120 kV, HU: fat, muscle (Hounsfield scale; Bushberg et al., The Essential Physics of Medical
Imaging), and skin, lowered for its hair and partial volume."""
CORTICAL_HU, MARROW_HU = 900.0, 190.0
"""Cortical bone above 500 HU and vertebral marrow of about 150-200 HU (Pickhardt et al. 2013)."""

HILUM: dict[str, dict[int, tuple[float, float, float]]] = {
    "artery": {-1: (-34.0, 4.0, 132.0), 1: (36.0, 12.0, 140.0)},
    "vein": {-1: (-30.0, 8.0, 104.0), 1: (36.0, 14.0, 106.0)},
    "airway": {-1: (-32.0, 16.0, 134.0), 1: (38.0, 22.0, 128.0)},
}
"""Where the trees enter each lung; -1 is the patient's right, 1 the left."""
CARINA = (-2.0, 20.0, 152.0)


@dataclass(frozen=True, eq=False)
class Anatomy:
    """Distance fields on a coarse grid, mm, positive inside; the surfaces are their zero levels.

    :param grid: the coarse grid.
    :param body: everything within the skin.
    :param soft: muscle and organs (fat is what is left of the body).
    :param soft_hu: density of the soft tissue at each point, HU.
    :param lung: both lungs within the visceral pleura, vessels included.
    :param blood: heart chambers and great vessels.
    :param bone: skeleton.
    :param blood_hu: density of the blood pool, HU (contrast-enhanced or not).
    :param scale: (3,) stretch of x, y, z against the average adult.
    """

    grid: Grid
    body: Field
    soft: Field
    soft_hu: Field
    lung: Field
    blood: Field
    bone: Field
    blood_hu: float
    scale: tuple[float, float, float]

    def to_patient(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Average-adult coordinates (..., 3) to this patient's, (x, y, z) mm."""
        return np.asarray(points, dtype=np.float64) * self.scale


def build_anatomy(rng: np.random.Generator, fov_mm: float, z_range_mm: tuple[float, float], step_mm: float) -> Anatomy:
    """Build one patient.

    :param fov_mm: side of the square field of view, centred on x = 0, y = 0.
    :param z_range_mm: lowest and highest z to cover.
    :param step_mm: spacing of the coarse grid; 2.5 mm keeps the error of a 20 mm curvature below 0.05 mm.
    """
    sx, sy, sz = (float(s) for s in rng.uniform(0.95, 1.03, 3))
    enhanced = rng.random() < 0.6
    blood_hu = float(rng.uniform(140, 260) if enhanced else rng.uniform(35, 48))
    grid = Grid.covering(fov_mm, z_range_mm, step_mm)
    p = grid.points((sx, sy, sz))

    cage = pleural_hull(p)
    dome = diaphragm_dome(p, rng)
    heart, blood = heart_and_vessels(p, grid, (sx, sy, sz))
    spine = skeleton.spine(p)
    lung = _lungs(p, cage, dome, heart, blood, spine)
    soft, organs_hu = _soft_tissue(p, cage, dome, heart, lung, enhanced)
    bone = skeleton.skeleton(p, grid, (sx, sy, sz), cage)
    muscle_cover = np.maximum(soft, bone + 3)
    outline = superellipse(p, table(p.z, HULL_Z, _BODY_HALF_WIDTH), table(p.z, HULL_Z, _BODY_HALF_DEPTH), p.y - 6, 2.5)
    body = smooth_max(outline, np.where(p.z < 240, np.minimum(muscle_cover, 20) + 5, -20.0).astype(np.float32), 8.0)
    scale = (sx, sy, sz)
    body, soft, lung, blood, bone = (normalised(f, grid) for f in (body, soft, lung, blood, bone))
    return Anatomy(grid, body, soft, organs_hu, lung, blood, bone, blood_hu, scale)


def diaphragm_dome(p: Points, rng: np.random.Generator) -> Field:
    """Height above the diaphragm's upper surface, mm; the right dome stands about 12 mm higher than the left."""
    height: Field | None = None
    for side, peak in ((-1, 58.0), (1, 45.0)):
        peak += float(rng.uniform(-6, 6))
        edge = -14 - 22 * np.clip(p.y / 80, -1.2, 1.2)
        from_top = ((p.x - side * 58) / 70) ** 2 + ((p.y + 6) / 92) ** 2
        surface = (edge + (peak - edge) * (1 - from_top)).astype(np.float32)
        height = surface if height is None else smooth_max(height, surface, 10.0)
    assert height is not None
    return (p.z - height).astype(np.float32)


def heart_and_vessels(p: Points, grid: Grid, scale: tuple[float, float, float]) -> tuple[Field, Field]:
    """The pericardial outline, and the blood pool: four chambers, aorta, pulmonary trunk and arteries, caval veins."""
    long_axis = np.array([0.66, -0.52, -0.54])
    center = np.array([12.0, -31.0, 74.0])
    outline = ellipsoid(p, center, (66, 48, 47), long_axis)
    left_atrium = ellipsoid(p, (4, 15, 98), (36, 17, 22))
    right_atrium = ellipsoid(p, (-30, -20, 84), (20, 24, 30))
    outline = smooth_max(outline, smooth_max(left_atrium, right_atrium, 6.0) + 4, 8.0)

    left_ventricle = ellipsoid(p, center + 14 * long_axis + (14, 12, 0), (38, 18, 19), long_axis)
    right_ventricle = ellipsoid(p, center + 8 * long_axis + (-16, -16, 2), (42, 19, 24), long_axis)
    blood = np.maximum(np.maximum(left_ventricle, right_ventricle), np.maximum(left_atrium, right_atrium))
    tubes = (
        # ascending aorta, arch, descending aorta
        ([(0, -16, 92), (-16, -24, 120), (-14, -20, 146), (-4, -8, 166), (12, 12, 172), (22, 32, 162), (23, 38, 140),
          (20, 40, 90), (13, 38, 30), (6, 34, -60)], (14, 15, 15, 14, 13, 12, 12, 11.5, 11, 10)),
        # brachiocephalic trunk, left carotid and left subclavian artery
        ([(-6, -6, 170), (-16, 0, 198), (-26, 6, 230), (-30, 10, 290)], (7, 6, 5, 4)),
        ([(4, 2, 176), (10, 4, 210), (18, 8, 290)], (4, 3.5, 3.5)),
        ([(14, 14, 176), (26, 16, 215), (40, 14, 246), (64, 0, 256)], (5, 5, 4.5, 4)),
        # superior caval vein and brachiocephalic veins; inferior caval vein
        ([(-30, -10, 92), (-30, -10, 130), (-28, -12, 176)], (10, 9.5, 8)),
        ([(-28, -12, 176), (-34, -10, 220), (-52, -12, 250)], (7, 6.5, 5)),
        ([(-28, -12, 178), (0, -26, 194), (28, -14, 218), (50, -12, 250)], (6.5, 6, 6, 5)),
        ([(-26, 0, 80), (-24, 10, 50), (-22, 20, -60)], (11, 12, 11)),
        # pulmonary trunk, right pulmonary artery behind the aorta, left one over the bronchus
        ([(10, -34, 104), (16, -24, 128), (12, -10, 138)], (14, 14, 13)),
        ([(12, -10, 138), (-6, 2, 136), HILUM["artery"][-1]], (12, 10, 8.5)),
        ([(14, -12, 138), (26, 0, 143), HILUM["artery"][1]], (12, 10, 8.5)),
        # pulmonary veins
        ([(-14, 18, 100), HILUM["vein"][-1]], (9, 7)),
        ([(22, 18, 102), HILUM["vein"][1]], (9, 7)),
    )  # fmt: skip
    for points, radii in tubes:
        add_tube(blood, grid, np.asarray(points, dtype=float) * scale, radii)
    return outline, blood


def _lungs(p: Points, cage: Field, dome: Field, heart: Field, blood: Field, spine: Field) -> Field:
    half_width = table(p.z, (-60, 40, 80, 110, 135, 165, 195, 230, 262), (16, 20, 24, 30, 32, 27, 25, 28, 33))
    centre_y = table(p.z, (-60, 60, 130, 200, 262), (24, 22, 8, 2, 0))
    depth = table(p.z, (-60, 60, 130, 200, 262), (30, 34, 40, 38, 46))
    mediastinum = half_width * np.exp(-(((p.y - centre_y) / depth) ** 2)) + 4 - np.abs(p.x - 2)
    apex = 264 - ((np.abs(p.x) - 46) ** 2 + (p.y - 24) ** 2) / 95 - p.z
    lung = smooth_min(cage, -mediastinum, 6.0)
    lung = smooth_min(lung, -(np.maximum(heart, blood - 1) + 3), 5.0)
    lung = smooth_min(lung, -(spine + 5), 5.0)
    lung = smooth_min(lung, dome * np.float32(0.75), 4.0)
    return smooth_min(lung, apex.astype(np.float32), 10.0)


def _soft_tissue(p: Points, cage: Field, dome: Field, heart: Field, lung: Field, enhanced: bool) -> tuple[Field, Field]:
    """Muscles and organs as one field, and the density of each where it lies."""
    _, _, centre_y = hull_axes(p.z)
    angle = np.degrees(np.arctan2(p.y - centre_y, np.abs(p.x) + 1e-3))
    upper = _bump(p.z, 175, 60)
    outer_layer = (
        17 * _bump(angle, -38, 22) * upper  # pectoral muscles
        + 24 * _bump(angle, 32, 24) * _bump(p.z, 180, 62)  # subscapularis, infraspinatus, teres
        + 15 * _bump(angle, 10, 22) * _bump(p.z, 110, 80)  # latissimus dorsi and serratus anterior
        + 8 * _bump(angle, 62, 14)  # trapezius
        + 20 * _bump(angle, 5, 50) * np.clip((p.z - 195) / 40, 0, 1)  # muscles of the shoulder girdle
    )
    intercostal = np.minimum(cage + 11, -(cage + 1.5))
    # Where the layer is thinner than the fat plane beneath it, this band is empty.
    outer = np.minimum(cage + 10.5 + outer_layer, -(cage + 13.0))
    spine_y = skeleton.spine_y(p.z)
    paraspinal = ellipsoid_columns(np.abs(p.x) - 24, p.y - spine_y - 30, 17, 16)
    psoas_crura = np.where(p.z < 40, ellipsoid_columns(np.abs(p.x - 4) - 16, p.y - spine_y + 18, 9, 10), -20)
    oesophagus = ellipsoid_columns(p.x - 6, p.y - spine_y + 30, 8, 6)
    thymus_nodes = ellipsoid(p, (-2, 6, 158), (7, 6, 9))
    abdomen = -dome - 2.5
    liver = smooth_min(abdomen, smooth_min(cage - 3, 28 - p.x - 0.2 * (p.y + 40), 8.0), 8.0)
    before_spine = skeleton.spine_y(p.z) - 34 - p.y + np.abs(p.x + 4) * 0.75
    liver = smooth_min(liver, before_spine.astype(np.float32), 8.0)
    spleen = np.minimum(ellipsoid(p, (88, 34, -4), (30, 42, 36)), abdomen)
    stomach = np.minimum(ellipsoid(p, (58, -14, 2), (36, 42, 30)), abdomen)
    diaphragm = np.minimum(np.minimum(-dome, dome + 3.5), cage)
    myocardium = heart - 3

    parts = ((intercostal, MUSCLE_HU), (outer, MUSCLE_HU), (paraspinal, MUSCLE_HU), (psoas_crura, MUSCLE_HU),
             (oesophagus, 40.0), (thymus_nodes, 45.0), (diaphragm, MUSCLE_HU), (stomach, 35.0),
             (spleen, 120.0 if enhanced else 50.0), (liver, 105.0 if enhanced else 58.0),
             (myocardium, 95.0 if enhanced else 42.0))  # fmt: skip
    soft = np.full(p.shape, -30, dtype=np.float32)
    soft_hu = np.full(p.shape, MUSCLE_HU, dtype=np.float32)
    for field, hu in parts:
        nearer = field > soft
        soft_hu[nearer] = hu
        np.maximum(soft, field, out=soft)
    # A layer of soft tissue lines every lung surface: pleura and endothoracic fascia.
    np.maximum(soft, np.minimum(lung + 1.2, 0.6), out=soft)
    return soft, soft_hu


def ellipsoid_columns(x: Field, y: Field, half_x: float, half_y: float) -> Field:
    """Distance field of an elliptic column along z through (x, y) = (0, 0)."""
    radius = np.sqrt((x / half_x) ** 2 + (y / half_y) ** 2)
    return ((1 - radius) * min(half_x, half_y)).astype(np.float32)


def _bump(value: Field, centre: float, width: float) -> Field:
    return np.exp(-(((value - centre) / width) ** 2) * 1.2).astype(np.float32)
