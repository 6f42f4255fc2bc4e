"""The body of a nodule: the ellipsoid that its free edge goes with, and what leaves it.

Rays from the middle meet the edge everywhere, but where a vessel or a wall joins they run on. The ellipsoid is fitted
to the others: directions that reach beyond it count for less from fit to fit.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.linalg import lapack

from .hull import directions
from .quantiles import quantile

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]

RAYS = directions(240).T.astype(np.float64)
FORM_AXES = np.array([0, 1, 2, 0, 0, 1]), np.array([0, 1, 2, 1, 2, 2])
FORM_PLACES = np.array([[0, 3, 4], [3, 1, 5], [4, 5, 2]])
FORM_TERMS = np.stack([RAYS[:, a] * RAYS[:, b] * (1 if a == b else 2) for a, b in zip(*FORM_AXES, strict=True)], axis=1)
"""x' A x along each ray is linear in A's six numbers, with these factors."""
SPHERE_FORM, SPHERE_NORMAL = np.array([1.0, 1.0, 1.0, 0.0, 0.0, 0.0]), np.diag([1.0, 1.0, 1.0, 2.0, 2.0, 2.0])
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

    def around(center: Floats) -> Body:
        farthest = float(np.linalg.norm(index * spacing - center, axis=1).max())
        return Body(center, _fitted_shape(_radii(share, center + spacing, spacing, farthest)))

    body = around(center)
    for _ in range(ROUNDS - 1):
        outside, radius = body.outside_mm(index, spacing)
        inside = outside <= (NEARLY_INSIDE - 1) * radius
        if not inside.any():
            break
        body = around(index[inside].mean(axis=0) * spacing)
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
    far, thick, runs_on = np.zeros(count + 1), np.zeros(count + 1), np.zeros(count + 1, dtype=bool)
    np.maximum.at(far, labels[voxels], outside[voxels])
    np.maximum.at(thick, labels[voxels], depth[voxels])
    runs_on[labels[open_ends]] = True
    leaves = runs_on & (far > limits.stub_share * deepest_mm) & (thick < min(limits.thickest_mm, deepest_mm))
    leaves[0] = False
    off = leaves[labels]
    if not off.any():
        return off
    near = ndimage.distance_transform_edt(~off, sampling=spacing) <= slack - limits.cut_mm + spacing[1] / 2
    return off | (near & (outside > limits.cut_mm))


def _radii(share: NDArray[np.float32], center: Floats, spacing: Floats, farthest_mm: float) -> Floats:
    """Distance from a centre to where each ray leaves the voxels, the last of whose centres is so far away."""
    steps = np.arange(0.0, farthest_mm + float(np.linalg.norm(spacing)) + 2 * STEP_MM, STEP_MM)
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
    start = quantile(radii, START_QUANTILE)
    fitted, shape = np.full(len(radii), start), np.eye(3) / start**2
    inverse = 1 / radii**2
    least, most = 1 / (LONGEST * start) ** 2, 1 / (SHORTEST * start) ** 2
    for scale in EXCESS_SCALES:
        excess = radii / fitted - 1
        trust = 1 / (1 + (np.maximum(excess, -0.5 * excess) / scale) ** 2) ** 2
        # An error of 1/r^2 makes one of r that grows with the cube of r.
        squared = fitted * fitted
        weight = trust * squared**3
        total = float(weight.sum())
        prior = SPHERE_WEIGHT * total / 3
        weighted = FORM_TERMS.T * weight
        normal = weighted @ FORM_TERMS + prior * SPHERE_NORMAL
        right = weighted @ inverse + prior * float((weight / squared).sum() / total) * SPHERE_FORM
        # LAPACK itself, for it takes a tenth of the time of NumPy's checks around it.
        form = lapack.dposv(normal, right)[1]
        values, vectors, _ = lapack.dsyev(form[FORM_PLACES])
        shape = (vectors * values.clip(least, most)) @ vectors.T
        fitted = 1 / np.sqrt(FORM_TERMS @ shape[FORM_AXES])
    return np.asarray(shape)
