"""Spine, ribs, sternum, scapulae and clavicles as one distance field. Frame and units as in `anatomy`."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .fields import Field, Grid, Points, add_tube, smooth_max, table
from .hull import HULL_POWER, hull_axes

VERTEBRA_PITCH_MM = 23.0
_T1_Z = 264.0
"""Height of the first thoracic vertebra's centre; twelve thoracic vertebrae with their discs measure about 275 mm."""


def spine_y(z: NDArray[np.floating]) -> Field:
    """y of the vertebral bodies' centres: the thoracic kyphosis."""
    return table(z, (-60, 0, 60, 120, 170, 205, 235, 264, 300), (46, 51, 57, 60, 58, 54, 47, 39, 28))


def spine(p: Points) -> Field:
    """Vertebral column as one smooth solid, discs included: what the lungs and muscles lie against."""
    y = p.y - spine_y(p.z)
    bodies = (1 - np.sqrt((p.x / 17) ** 2 + (y / 14.5) ** 2)) * 15
    arches = (1 - np.sqrt((p.x / 16) ** 2 + ((y - 22) / 13) ** 2)) * 13
    return smooth_max(bodies.astype(np.float32), arches.astype(np.float32), 5.0)


def skeleton(p: Points, grid: Grid, scale: tuple[float, float, float], cage: Field) -> Field:
    """All bones of the thorax, mm inside their outer surface."""
    bone = _vertebrae(p)
    for field in (_sternum(p), _scapulae(p, cage)):
        np.maximum(bone, field, out=bone)
    for side in (-1, 1):
        for number in range(1, 13):
            path, radii = _rib(number, side)
            add_tube(bone, grid, path * scale, radii, stretch_z=1.75)
        clavicle = np.array([(16, -36, 224), (50, -44, 236), (95, -24, 250), (140, 4, 262)]) * (side, 1, 1)
        add_tube(bone, grid, clavicle * scale, (7, 5.5, 5.5, 6))
    return bone


def _vertebrae(p: Points) -> Field:
    y = p.y - spine_y(p.z)
    phase = (p.z - _T1_Z + VERTEBRA_PITCH_MM / 2) % VERTEBRA_PITCH_MM - VERTEBRA_PITCH_MM / 2
    waist = 1 - 0.06 * np.cos(np.pi * phase / 9.5)
    size = table(p.z, (-60, 264), (1.12, 0.85))
    body = (1 - np.sqrt((p.x / (18 * waist * size)) ** 2 + (y / (14.5 * waist * size)) ** 2)) * 15
    body = np.minimum(body, 9.6 - np.abs(phase))
    canal = np.sqrt((p.x / 1.15) ** 2 + (y - 22) ** 2)
    ring = np.minimum(np.minimum(canal - 8.2, 13.2 - canal), 8.5 - np.abs(phase - 1))
    drop = phase + 0.55 * (y - 34)
    tip = table(p.z, (140, 230), (57, 44))
    spinous = np.minimum(np.minimum(3.4 - np.abs(p.x), np.minimum(y - 30, tip - y)), 5.5 - np.abs(drop + 6))
    lateral = np.minimum(np.minimum(np.abs(p.x) - 10, 34 - np.abs(p.x)), 4.2 - np.abs(y - 20 - 0.35 * np.abs(p.x)))
    transverse = np.minimum(lateral, 5.5 - np.abs(phase - 2))
    bone = np.maximum(np.maximum(body, ring), np.maximum(spinous, transverse))
    return np.where(canal < 8.2, np.minimum(bone, canal - 8.2), bone).astype(np.float32)


def _sternum(p: Points) -> Field:
    front = table(p.z, (60, 90, 150, 205, 225), (-92, -92, -84, -62, -50))
    half_width = table(p.z, (70, 95, 175, 185, 215), (7, 16, 17, 22, 27))
    section = (np.abs(p.x) / half_width) ** 3 + (np.abs(p.y - front + 4) / 5.8) ** 3
    plate = (1 - np.cbrt(section)) * 5.8
    return np.minimum(plate, np.minimum(p.z - 88, 222 - p.z)).astype(np.float32)


def _scapulae(p: Points, cage: Field) -> Field:
    _, _, centre_y = hull_axes(p.z)
    angle = np.degrees(np.arctan2(p.y - centre_y, np.abs(p.x) + 1e-3))
    medial = table(p.z, (115, 150, 200, 235), (36, 50, 55, 48))
    lateral = table(p.z, (115, 150, 200, 235), (28, 16, 4, -8))
    radius = 1.9  # mm per degree on the blade's surface
    outline = np.minimum(np.minimum(medial - angle, angle - lateral) * radius, np.minimum(p.z - 118, 236 - p.z))
    blade = np.minimum(2.7 - np.abs(cage + 22), outline)
    border = np.minimum(4.8 - np.abs(cage + 22), 5.5 - np.abs(outline - 5))
    ridge = np.minimum(np.minimum(3.0 - np.abs(p.z - 212 - 0.4 * (38 - angle)), outline), 14 - np.abs(cage + 30))
    return np.maximum(np.maximum(blade, border), ridge).astype(np.float32)


def _rib(number: int, side: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Centre line (n, 3) and radii of a rib, from its vertebra round the hull to its cartilage."""
    head_z = _T1_Z - (number - 1) * VERTEBRA_PITCH_MM + 8
    last_angle = {1: -48.0, 2: -58.0, 10: -40.0, 11: 5.0, 12: 40.0}.get(number, -62.0)
    fall = {1: 36.0, 2: 60.0, 3: 82.0, 12: 45.0, 11: 62.0}.get(number, 100.0)
    angles = np.radians(np.linspace(66.0, last_angle, 28))
    progress = np.linspace(0, 1, 28)
    z = head_z - fall * progress * (0.6 + 0.4 * progress)
    half_width, half_depth, centre_y = (a.astype(np.float64) for a in hull_axes(z))
    cosine, sine = np.cos(angles), np.sin(angles)
    radius = (cosine / (half_width + 7)) ** HULL_POWER + (np.abs(sine) / (half_depth + 7)) ** HULL_POWER
    ray = radius ** (-1 / HULL_POWER)
    path = np.stack([side * ray * cosine, centre_y + ray * sine, z], axis=1)
    spine_at = float(spine_y(np.array([head_z]))[0])
    head = np.array([[side * 19.0, spine_at + 6, head_z], [side * 34.0, spine_at + 20, head_z + 1]])
    radii = np.full(len(path) + 2, 3.7)
    radii[-1] = 3.2
    return np.vstack([head, path]), radii
