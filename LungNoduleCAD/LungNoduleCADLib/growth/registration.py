"""Two scans of one chest brought into line: rigidly first, then with the stretch that another depth of breath makes.

The lungs' surface and the vessels in them decide; ribs and spine, which move otherwise when the chest breathes, lie
outside the compared region.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import SimpleITK as sitk
from numpy.typing import ArrayLike, NDArray

from ..errors import InputError
from .picture import LungPicture

Floats = NDArray[np.float64]
Moved = TypeVar("Moved", bound=sitk.Transform)

COARSE, MIDDLE = 4, 2
"""Shrink factors of the picture: 8 and 4 mm. A further step at 2 mm took a moved copy of a real scan, breathing
otherwise, from 1.5 to 1.3 mm: what is left is not affine, and the neighbourhoods of `local` follow it."""
SHARES = {COARSE: 0.3, MIDDLE: 0.1}
"""Of the region's voxels that are compared, drawn at random with a fixed seed."""
SEED = 1
THREADS = 4
"""Always as many: the sums, and with them the result, depend on how they are parted."""
RIGID_STEP, AFFINE_STEP = 2.0, 0.5
"""Length of the first step, mm of the farthest corner at a coarse voxel's scale; affine ones diverge from 2 on."""
START_STEP_MM, MOST_STARTS, BEST_STARTS = 20.0, 12, 2
"""Heights at which the search begins, from lowest points level to highest points level, and how many are followed."""
LEAST_OVERLAP, LEAST_CORRELATION = 0.75, 0.6
"""Dice of the lungs where both scans show them, and correlation of their densities, below which nothing fits: two
scans of one patient reach 0.9 and more (docs/growth.md)."""


@dataclass(frozen=True, eq=False)
class Alignment:
    """Where a place of the current scan lies in the prior.

    :param matrix: 4x4, LPS mm of the current scan to those of the prior.
    :param overlap: Dice of the lungs where both scans show them; :param correlation: of the densities there.
    """

    matrix: Floats
    overlap: float
    correlation: float

    def to_prior(self, points_lps: ArrayLike) -> Floats:
        """Points (..., 3) of the current scan in the prior."""
        return np.asarray(points_lps, dtype=np.float64) @ self.matrix[:3, :3].T + self.matrix[:3, 3]

    @property
    def backwards(self) -> Alignment:
        """From the prior to the current scan."""
        return Alignment(np.linalg.inv(self.matrix).astype(np.float64), self.overlap, self.correlation)


def align(current: LungPicture, prior: LungPicture) -> Alignment:
    """Find where the current scan's places lie in the prior.

    :raises InputError: when the two do not fit each other.
    """
    starts = sorted((_value(current, prior, start), n, start) for n, start in enumerate(_starts(current, prior)))
    found = [_optimised(current, prior, start, COARSE, RIGID_STEP) for _, _, start in starts[:BEST_STARTS]]
    rigid = min(found, key=lambda transform: _value(current, prior, transform))
    stretched = sitk.AffineTransform(3)
    stretched.SetCenter(rigid.GetCenter())
    stretched.SetMatrix(rigid.GetMatrix())
    stretched.SetTranslation(rigid.GetTranslation())
    for level in (COARSE, MIDDLE):
        stretched = _optimised(current, prior, stretched, level, AFFINE_STEP)
    alignment = Alignment(_matrix(stretched), _overlap(current, prior, stretched), -_value(current, prior, stretched))
    if alignment.overlap < LEAST_OVERLAP or alignment.correlation < LEAST_CORRELATION:
        raise InputError(
            "The two scans cannot be brought into line, for their lungs do not fit each other (overlap "
            f"{alignment.overlap:.2f}, correlation {alignment.correlation:.2f}); check that both show the chest of one "
            "patient."
        )
    return alignment


def _starts(current: LungPicture, prior: LungPicture) -> list[sitk.Euler3DTransform]:
    """First guesses without rotation: the lungs' middles in line, at several heights where the scans do not show the
    same of them."""
    middle, other = current.points.mean(axis=0), prior.points.mean(axis=0)
    ends = [float(f(prior.points[:, 2]) - f(current.points[:, 2])) for f in (np.min, np.max)]
    count = int(np.clip(np.ceil(abs(ends[1] - ends[0]) / START_STEP_MM) + 1, 2, MOST_STARTS))
    heights = [float(other[2] - middle[2]), *(float(z) for z in np.linspace(ends[0], ends[1], count))]
    starts = []
    for height in heights:
        start = sitk.Euler3DTransform()
        start.SetCenter([float(v) for v in middle])
        start.SetTranslation([float(other[0] - middle[0]), float(other[1] - middle[1]), height])
        starts.append(start)
    return starts


def _optimised(current: LungPicture, prior: LungPicture, start: Moved, level: int, step: float) -> Moved:
    """A transform of the start's kind that fits better."""
    method = _method(current, prior, level)
    method.SetOptimizerAsRegularStepGradientDescent(
        learningRate=step, minStep=0.01, numberOfIterations=60, relaxationFactor=0.6, gradientMagnitudeTolerance=1e-6
    )
    method.SetOptimizerScalesFromPhysicalShift()
    transform = type(start)(start)
    method.SetInitialTransform(transform, inPlace=True)
    method.Execute(current.image, prior.image)
    return transform


def _method(current: LungPicture, prior: LungPicture, level: int) -> sitk.ImageRegistrationMethod:
    method = sitk.ImageRegistrationMethod()
    method.SetNumberOfThreads(THREADS)
    method.SetMetricAsCorrelation()
    method.SetMetricFixedMask(current.region)
    method.SetMetricMovingMask(prior.seen)
    method.SetMetricSamplingStrategy(method.RANDOM)
    method.SetMetricSamplingPercentage(SHARES[level], SEED)
    method.SetShrinkFactorsPerLevel([level])
    method.SetSmoothingSigmasPerLevel([level / 2])
    method.SetInterpolator(sitk.sitkLinear)
    return method


def _matrix(transform: sitk.AffineTransform) -> Floats:
    """An affine transform as one 4x4 matrix."""
    matrix = np.eye(4)
    matrix[:3, :3] = np.reshape(transform.GetMatrix(), (3, 3))
    matrix[:3, 3] = transform.TransformPoint((0.0, 0.0, 0.0))
    return matrix


def _value(current: LungPicture, prior: LungPicture, transform: sitk.Transform) -> float:
    """Correlation of the pictures in the lungs, negative; 0 where they do not overlap."""
    method = _method(current, prior, COARSE)
    method.SetInitialTransform(transform)
    try:
        return float(method.MetricEvaluate(current.image, prior.image))
    except RuntimeError:  # no sample falls into the other image
        return 0.0


def _overlap(current: LungPicture, prior: LungPicture, transform: sitk.Transform) -> float:
    """Dice of the lungs where both scans show them."""
    there, seen = (
        sitk.GetArrayFromImage(sitk.Resample(image, current.lungs, transform, sitk.sitkNearestNeighbor, 0)) > 0
        for image in (prior.lungs, prior.seen)
    )
    here = sitk.GetArrayViewFromImage(current.lungs) > 0
    there &= sitk.GetArrayViewFromImage(current.seen) > 0
    return 2 * float((here & there).sum()) / max(float((here & seen).sum() + there.sum()), 1.0)
