"""Composition of the tissue volume: organs, trees and nodules as densities, before the scanner sees them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .anatomy import CORTICAL_HU, FAT_HU, MARROW_HU, SKIN_HU, Anatomy
from .fields import Field, SliceInterpolator
from .lungs import AIR_HU, WALL_HU, LungTrees, fissure_depth, parenchyma_hu, parenchyma_texture
from .nodule import insert_nodule, render_nodule
from .phantom_spec import Frame
from .placement import PlacedNodule
from .rasterise import draw_tubes

_FISSURE_HU, _FISSURE_REACH_MM = np.float32(170), np.float32(0.9)
_COUCH_TOP_MM, _COUCH_RADIUS_MM = 128.0, 420.0
_TEXTURE_BLOCK = (48, 112, 112)


def build_tissue(
    anatomy: Anatomy, trees: LungTrees, frame: Frame, rng: np.random.Generator
) -> tuple[Field, NDArray[np.bool_]]:
    """Compose everything but the nodules.

    :return: densities on the tissue grid, HU; the lung mask on the CT's grid.
    """
    per_output = frame.slices_per_output
    tissue = np.empty((frame.shape[0] * per_output, *frame.shape[1:]), dtype=np.float32)
    lung_mask = np.empty(frame.shape, dtype=bool)
    interpolate = SliceInterpolator(anatomy.grid, frame.y, frame.x)
    texture = parenchyma_texture(_TEXTURE_BLOCK, frame.tissue_spacing, rng)
    parenchyma = parenchyma_hu(frame.y, frame.spec.parenchyma_hu)[:, None]
    per_pixel = np.float32(1 / frame.spacing[1:].max())

    def share(depth_mm: Field) -> Field:
        """Part of a pixel that is inside, from its centre's depth."""
        return np.clip(depth_mm * per_pixel + np.float32(0.5), 0, 1)

    repeats = [int(np.ceil(n / b)) for n, b in zip(frame.shape[1:], _TEXTURE_BLOCK[1:], strict=True)]
    sx, sy, sz = anatomy.scale
    x, y = (frame.x[None, :] / sx).astype(np.float32), (frame.y[:, None] / sy).astype(np.float32)
    couch = _couch(frame.x[None, :], frame.y[:, None])
    for k, z in enumerate(frame.tissue_z):
        body = interpolate(anatomy.body, z)
        bone = interpolate(anatomy.bone, z)
        lung = interpolate(anatomy.lung, z)
        image = couch.copy()
        _blend(image, share(body), SKIN_HU)
        _blend(image, share(body - 2), FAT_HU)
        _blend(image, share(interpolate(anatomy.soft, z)), interpolate(anatomy.soft_hu, z))
        _blend(image, share(interpolate(anatomy.blood, z)), anatomy.blood_hu)
        marrow = np.clip((bone - 1.1) / 1.5, 0, 1)
        bone_hu = CORTICAL_HU + (MARROW_HU - CORTICAL_HU) * marrow
        _blend(image, share(bone), bone_hu)
        inside = parenchyma + np.tile(texture[k % _TEXTURE_BLOCK[0]], repeats)[: frame.shape[1], : frame.shape[2]]
        if frame.spec.fissures:
            inside = inside + _fissures(x, y, float(z) / sz)
        _blend(image, share(lung), inside)
        tissue[k] = image
        if k % per_output == 0:
            middle = z + (frame.spacing[0] - frame.tissue_spacing[0]) / 2
            lung_mask[k // per_output] = (lung if per_output == 1 else interpolate(anatomy.lung, middle)) > 0
    vessel_hu = max(anatomy.blood_hu - 20, 40.0)
    for tubes, hu in ((trees.vessels, vessel_hu), (trees.airway_walls, WALL_HU), (trees.airway_lumens, AIR_HU)):
        draw_tubes(tissue, tubes, hu, frame.tissue_origin_zyx, frame.tissue_spacing)
    return tissue, lung_mask


def _fissures(x: Field, y: Field, z: float) -> Field:
    """Extra density of the fissures in one plane, HU: two pleural layers, together about half a millimetre thick."""
    oblique, horizontal = fissure_depth(x, y, z)
    extra = _FISSURE_HU * np.maximum(1 - np.abs(oblique) / _FISSURE_REACH_MM, 0)
    minor = _FISSURE_HU * np.maximum(1 - np.abs(horizontal) / _FISSURE_REACH_MM, 0)
    return extra + minor * ((oblique > 0) & (x < 0))


def _couch(x: NDArray[np.float64], y: NDArray[np.float64]) -> Field:
    """Air and the patient couch in an axial plane, HU: two curved carbon-fibre shells with foam between them."""
    below = np.hypot(x, y + _COUCH_RADIUS_MM - _COUCH_TOP_MM) - _COUCH_RADIUS_MM
    image = np.full(below.shape, -1000, dtype=np.float32)
    image[(below > 0) & (below < 32)] = -940
    for depth in (1.0, 31.0):
        image = np.maximum(image, -1000 + 780 * np.exp(-(((below - depth) / 1.1) ** 2)))
    return image.astype(np.float32)


def _blend(image: Field, share: Field, hu: Field | float) -> None:
    image += share * (hu - image)


def insert_into_tissue(
    tissue: Field, nodule: PlacedNodule, anatomy: Anatomy, frame: Frame, rng: np.random.Generator
) -> None:
    """Render a nodule onto the tissue grid, bounded by the pleura."""
    position = (nodule.center[::-1] - frame.tissue_origin_zyx) / frame.tissue_spacing
    center = np.rint(position).astype(int)
    offset = (position - center) * frame.tissue_spacing
    alpha, hu = render_nodule(nodule.model, rng, frame.tissue_spacing.tolist(), offset.tolist())
    axes = [
        (c + np.arange(n) - n // 2) * s + o
        for c, n, s, o in zip(center, alpha.shape, frame.tissue_spacing, frame.tissue_origin_zyx, strict=True)
    ]
    xyz = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)[:, ::-1]
    depth = anatomy.grid.sample(anatomy.lung, xyz).reshape(alpha.shape).astype(np.float32)
    alpha *= np.clip(depth / np.float32(frame.spacing[1:].max()) + np.float32(0.5), 0, 1)
    insert_nodule(tissue, tuple(int(c) for c in center), alpha, hu)
