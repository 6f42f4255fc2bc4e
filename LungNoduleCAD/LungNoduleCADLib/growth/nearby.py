"""One scan turned and shifted onto the other around a nodule, which moves as a whole however the lung is stretched."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from ..volume import Volume
from .picture import HIGHEST_HU, LOWEST_HU
from .registration import SEED, THREADS, Alignment
from .sampling import cube, sampled

Floats = NDArray[np.float64]

STEP_MM = 1.0
AROUND_MM = 10.0
"""Of lung around the nodule that is brought into line with it."""
SHARE = 0.4
"""Of the voxels that are compared, drawn at random with a fixed seed."""
SMOOTHING_MM = 0.8
MOST_MM = 3.0
"""A farther way is a stray one, for the neighbourhood was found again before."""


@dataclass(frozen=True, eq=False)
class Turn:
    """Where the places near a nodule lie in the prior: turned, then shifted.

    :param matrix: 3x3 rotation; :param shift: LPS mm. :param correlation: of the two scans there.
    """

    matrix: Floats
    shift: Floats
    correlation: float

    @classmethod
    def of(cls, alignment: Alignment, point_lps: ArrayLike, found_lps: ArrayLike) -> Turn:
        """The rotation in an alignment of the whole lungs, that takes a point to where it was found."""
        left, _, right = np.linalg.svd(alignment.matrix[:3, :3])
        matrix = left @ right
        return cls(matrix, np.asarray(found_lps) - matrix @ np.asarray(point_lps), alignment.correlation)

    def forwards(self, points_lps: ArrayLike) -> Floats:
        """Points (..., 3) of the current scan in the prior."""
        return np.asarray(np.asarray(points_lps) @ self.matrix.T + self.shift)

    def backwards(self, points_lps: ArrayLike) -> Floats:
        """Points (..., 3) of the prior in the current scan."""
        return np.asarray((np.asarray(points_lps) - self.shift) @ self.matrix)


def nearby_turn(current: Volume, prior: Volume, rough: Turn, middle_lps: Floats, radius_mm: float) -> Turn:
    """A turn that fits better, or the rough one where none does.

    :param radius_mm: of the nodule around `middle_lps`.
    """
    reach = radius_mm + AROUND_MM
    points = cube(middle_lps - reach, middle_lps + reach, STEP_MM)
    images = [_image(sampled(v, p, 1)) for v, p in ((current, points), (prior, rough.forwards(points)))]
    away = ((points - middle_lps) ** 2).sum(axis=-1)
    mask = _as_image((away <= reach**2).astype(np.uint8))
    method = sitk.ImageRegistrationMethod()
    method.SetNumberOfThreads(THREADS)
    method.SetMetricAsCorrelation()
    method.SetMetricFixedMask(mask)
    method.SetMetricSamplingStrategy(method.RANDOM)
    method.SetMetricSamplingPercentage(SHARE, SEED)
    method.SetInterpolator(sitk.sitkLinear)
    method.SetOptimizerAsRegularStepGradientDescent(
        learningRate=0.5, minStep=0.005, numberOfIterations=40, relaxationFactor=0.5, gradientMagnitudeTolerance=1e-6
    )
    method.SetOptimizerScalesFromPhysicalShift()
    transform = sitk.Euler3DTransform()
    transform.SetCenter([STEP_MM * (n - 1) / 2 for n in points.shape[2::-1]])
    method.SetInitialTransform(transform, inPlace=True)
    before = -method.MetricEvaluate(*images)
    method.Execute(*images)
    after = -method.GetMetricValue()
    moved = np.asarray(transform.GetTranslation())
    if not after > before or np.linalg.norm(moved) > MOST_MM:
        return Turn(rough.matrix, rough.shift, before)
    turn = np.reshape(transform.GetMatrix(), (3, 3))
    # In the picture: q = turn (p - middle) + middle + moved; the prior's place is the rough one of q.
    return Turn(rough.matrix @ turn, rough.forwards(middle_lps - turn @ middle_lps + moved), after)


def _image(hu: NDArray[np.float32]) -> sitk.Image:
    hu = np.clip(hu, LOWEST_HU, HIGHEST_HU)
    return _as_image(ndimage.gaussian_filter(hu, SMOOTHING_MM / STEP_MM))


def _as_image(values: NDArray[np.generic]) -> sitk.Image:
    image = sitk.GetImageFromArray(values)
    image.SetSpacing([STEP_MM] * 3)
    return image
