"""The body of a nodule: the ellipsoid that its free edge goes with, and what leaves it.

Rays from the middle meet the edge everywhere, but where a vessel or a wall joins they run on. The ellipsoid is fitted
to the others: directions that reach beyond it count for less from fit to fit.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from .hull import directions

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]

RAYS = directions(240).T.astype(np.float64)
FORM_TERMS = np.stack(
    [RAYS[:, a] * RAYS[:, b] * (1 if a == b else 2) for a, b in ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2))],
    axis=1,
)
"""x' A x along each ray is linear in A's six numbers, with these factors."""
STEP_MM = 0.4
ROUNDS = 3
"""How often the middle is taken again, of what lies in the ellipsoid or within a tenth of its radius outside."""
NEARLY_INSIDE = 1.1
EXCESS_SCALES = (0.5, 0.35, 0.25, 0.18, 0.18, 0.18)
"""Excess over the ellipsoid, as a share of its radius, at which a direction counts for a quarter; from fit to fit. What
falls short of it by twice as much does too."""
START_QUANTILE = 0.4
SPHERE_WEIGHT = 0.15
"""Weight of a sphere in the fit, as a share of all directions'."""
SHORTEST, LONGEST = 0.4, 3.0
"""Bounds of a semi-axis over the radius that the fit starts from."""
TOUCHING = np.ones((3, 3, 3), dtype=bool)


@dataclass(frozen=True, eq=False)
class Body:
    """The ellipsoid x' A x = 1 around a centre, in mm on the axes (k, j, i) of the array it was fitted in."""

    center: Floats
    shape: Floats

    def outside_mm(self, index: NDArray[np.intp], spacing: Floats) -> tuple[Floats, Floats]:
        """How far outside voxels (n, 3) lie along the ray from the centre, negative inside; and the ellipsoid's radius
        there."""
        away = index * spacing - self.center
        distance = np.linalg.norm(away, axis=1)
        form = np.sqrt(np.einsum("na,ab,nb->n", away, self.shape, away))
        radius = distance / np.maximum(form, 1e-9)
        return distance - radius, radius


@dataclass(frozen=True)
class Leaving:
    """What is no part of a body, though it holds on to it.

    :param slack_share, slack_mm: it begins at the larger of this share of the body's radius and this distance outside,
    :param stub_share: and goes on to at least this share of the nodule's depth outside.
    :param thickest_mm: radius up to which it may be a vessel; it is never thicker than the nodule.
    :param cut_mm: where it does so, the nodule ends so far outside the body.
    """

    slack_share: float = 0.2
    slack_mm: float = 1.0
    stub_share: float = 0.5
    thickest_mm: float = 3.0
    cut_mm: float = 0.3


def fitted_body(voxels: Bools, core: Bools, spacing: Floats) -> Body:
    """The body of a nodule's voxels.

    :param core: some of them deep inside, at least one.
    """
    center = np.argwhere(core).mean(axis=0) * spacing
    # An empty frame: a nodule ends half a voxel beyond the scan's last one.
    share = np.pad(voxels, 1).astype(np.float32)
    index = np.argwhere(voxels)
    body = Body(center, _fitted_shape(_radii(share, center + spacing, spacing)))
    for _ in range(ROUNDS - 1):
        outside, radius = body.outside_mm(index, spacing)
        inside = outside <= (NEARLY_INSIDE - 1) * radius
        if not inside.any():
            break
        center = index[inside].mean(axis=0) * spacing
        body = Body(center, _fitted_shape(_radii(share, center + spacing, spacing)))
    return body


def leaving(
    voxels: Bools, depth: Floats, open_ends: Bools, body: Body, spacing: Floats, limits: Leaving, deepest_mm: float
) -> Bools:
    """Of the voxels, those that leave a body and run on beyond what was looked at.

    :param depth: of the voxels in them, mm; :param open_ends: where they run on.
    :param deepest_mm: depth of the nodule's deepest voxel.
    """
    index = np.argwhere(voxels)
    outside, slack = np.full(voxels.shape, -np.inf), np.zeros(voxels.shape)
    outside[voxels], radius = body.outside_mm(index, spacing)
    slack[voxels] = np.maximum(limits.slack_share * radius, limits.slack_mm)
    labels, count = ndimage.label(outside > slack, structure=TOUCHING)
    if not count:
        return np.zeros_like(voxels)
    numbers = np.arange(1, count + 1)
    far = ndimage.maximum(outside, labels, numbers) > limits.stub_share * deepest_mm
    thin = ndimage.maximum(depth, labels, numbers) < min(limits.thickest_mm, deepest_mm)
    runs_on = np.isin(numbers, labels[open_ends])
    off = np.isin(labels, numbers[far & thin & runs_on])
    if not off.any():
        return off
    near = ndimage.distance_transform_edt(~off, sampling=spacing) <= slack - limits.cut_mm + spacing[1] / 2
    return off | (near & (outside > limits.cut_mm))


def _radii(share: NDArray[np.float32], center: Floats, spacing: Floats) -> Floats:
    """Distance from a centre to where each ray leaves the voxels."""
    steps = np.arange(0.0, float(np.linalg.norm(np.array(share.shape) * spacing)), STEP_MM)
    points = (center[:, None, None] + RAYS.T[:, :, None] * steps) / spacing[:, None, None]
    inside = ndimage.map_coordinates(share, points, order=1, mode="constant")
    outside = inside < 0.5
    outside[:, -1] = True
    first = np.maximum(outside.argmax(axis=1), 1)
    every = np.arange(len(RAYS))
    before, after = inside[every, first - 1], inside[every, first]
    fraction = np.clip((before - 0.5) / np.maximum(before - after, 1e-6), 0, 1)
    return np.asarray(np.maximum((first - 1 + fraction) * STEP_MM, STEP_MM), dtype=np.float64)


def _fitted_shape(radii: Floats) -> Floats:
    """The matrix of the ellipsoid through most of the rays' ends: 1/r^2 is linear in it."""
    start = float(np.quantile(radii, START_QUANTILE))
    fitted, shape = np.full(len(radii), start), np.eye(3) / start**2
    for scale in EXCESS_SCALES:
        excess = radii / fitted - 1
        trust = 1 / (1 + (np.where(excess > 0, excess, 0.5 * excess) / scale) ** 2) ** 2
        # An error of 1/r^2 makes one of r that grows with the cube of r.
        weight = trust * fitted**6
        sphere = float((weight / fitted**2).sum() / weight.sum())
        prior = SPHERE_WEIGHT * float(weight.sum()) / 3
        normal = (FORM_TERMS.T * weight) @ FORM_TERMS + prior * np.diag([1.0, 1.0, 1.0, 2.0, 2.0, 2.0])
        right = (FORM_TERMS.T * weight) @ (1 / radii**2) + prior * sphere * np.array([1.0, 1.0, 1.0, 0.0, 0.0, 0.0])
        a = np.linalg.solve(normal, right)
        values, vectors = np.linalg.eigh([[a[0], a[3], a[4]], [a[3], a[1], a[5]], [a[4], a[5], a[2]]])
        values = np.clip(values, 1 / (LONGEST * start) ** 2, 1 / (SHORTEST * start) ** 2)
        shape = (vectors * values) @ vectors.T
        fitted = 1 / np.sqrt(FORM_TERMS @ shape[[0, 1, 2, 0, 0, 1], [0, 1, 2, 1, 2, 2]])
    return np.asarray(shape)
