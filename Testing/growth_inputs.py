"""The same simulated chest scanned twice: moved, breathing otherwise, with nodules that grew, shrank, came and went."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from functools import lru_cache
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from scipy import ndimage
from scipy.spatial.transform import Rotation

from LungNoduleCADLib.findings import Candidate, DetectionResult, VoxelMask
from LungNoduleCADLib.growth import Study, StudyFinding
from LungNoduleCADLib.growth.picture import as_image
from LungNoduleCADLib.io import read_volume
from LungNoduleCADLib.measurement import Lungs, measure, refine_mask, sphere_mask
from LungNoduleCADLib.report.results import write_results
from LungNoduleCADLib.rules import facts_of
from LungNoduleCADLib.simulation import NoduleSpec, make_phantom
from LungNoduleCADLib.simulation.nodule import insert_nodule, render_nodule
from LungNoduleCADLib.volume import Volume

PRIOR_DAY = date(2025, 1, 10)
HEIGHT_MM = 250.0
"""Of the lungs that the breath moves: their base moves by its share of this, their apex stays."""
IN_PLANE_BLUR_MM = 0.5


@dataclass(frozen=True)
class Motion:
    """Where a scan's places lie in the chest as it was built.

    :param shift_mm: LPS; :param rotation_degrees: about an axis through the middle, as a vector.
    :param breath: how much of the lungs' height the base has moved, down when positive; more so towards the base.
    """

    shift_mm: tuple[float, float, float] = (0.0, 0.0, 0.0)
    rotation_degrees: tuple[float, float, float] = (0.0, 0.0, 0.0)
    breath: float = 0.0
    middle: tuple[float, float, float] = (0.0, 0.0, 122.0)

    @classmethod
    def drawn(cls, rng: np.random.Generator, shift_mm: float, degrees: float, breath: float) -> Motion:
        """Of that much, in a direction by chance."""
        ways = rng.standard_normal((2, 3))
        shift, axis = ways / np.linalg.norm(ways, axis=1, keepdims=True)
        return cls(tuple(shift_mm * shift), tuple(degrees * axis), breath)

    def to_chest(self, points_lps: np.ndarray) -> np.ndarray:
        """Points (..., 3) of the scan in the chest."""
        turn = Rotation.from_rotvec(self.rotation_degrees, degrees=True).as_matrix()
        points = (points_lps - self.middle) @ turn.T + self.middle + self.shift_mm
        top = self.middle[2] + HEIGHT_MM / 2
        depth = np.clip((top - points[..., 2]) / HEIGHT_MM, -0.2, 1.4)
        points[..., 2] += self.breath * HEIGHT_MM * depth**2
        points[..., 1] = self.middle[1] + (points[..., 1] - self.middle[1]) / (1 + 0.4 * self.breath)
        return points

    def to_scan(self, point_lps: Sequence[float]) -> tuple[float, float, float]:
        """A point of the chest in the scan."""
        point = np.array(point_lps, dtype=float)
        for _ in range(50):
            point = point + np.asarray(point_lps) - self.to_chest(point)
        x, y, z = (float(v) for v in point)
        return x, y, z


@dataclass(frozen=True)
class Nodule:
    """A nodule of the chest.

    :param center_lps: in the chest as it was built. :param then_mm, now_mm: its diameters; None when it is not there.
    """

    center_lps: tuple[float, float, float]
    then_mm: float | None
    now_mm: float | None
    density: str = "solid"
    score: float = 0.9


@lru_cache(maxsize=2)
def empty_chest(seed: int, spacing: tuple[float, float, float]) -> tuple[Volume, np.ndarray]:
    """A chest without nodules and noise, and its lungs."""
    phantom = make_phantom(seed, (), spacing, noise_hu=0.0)
    return phantom.volume, phantom.lung_mask.voxels


def free_places(
    seed: int, spacing: tuple[float, float, float], count: int, gap_mm: float = 25.0, depth_mm: float = 9.0
) -> list[tuple[float, float, float]]:
    """Places in the lungs of a chest, away from their surface, from one another and from large vessels."""
    volume, lungs = empty_chest(seed, spacing)
    rng = np.random.default_rng(seed)
    depth = ndimage.distance_transform_edt(lungs, sampling=volume.spacing_kji_mm)
    aerated = ndimage.gaussian_filter(volume.voxels.astype(np.float32), 3 / volume.spacing_kji_mm) < -800
    index = np.argwhere((depth > depth_mm) & aerated)
    places: list[tuple[float, float, float]] = []
    for n in rng.permutation(len(index)):
        x, y, z = (float(v) for v in volume.index_to_lps(index[n]))
        if all(np.linalg.norm(np.subtract((x, y, z), p)) > gap_mm for p in places):
            places.append((x, y, z))
        if len(places) == count:
            break
    return places


def scanned(
    seed: int,
    base_spacing: tuple[float, float, float],
    nodules: Sequence[tuple[int, Nodule, float]],
    motion: Motion,
    spacing: tuple[float, float, float],
    noise_hu: float,
    noise_seed: int,
    z_range: tuple[float, float] | None = None,
) -> tuple[Volume, np.ndarray]:
    """A scan of the chest after a motion, and its lungs.

    :param nodules: number (which makes its shape), nodule and its diameter now.
    :param z_range: heights shown, LPS mm of the scan.
    """
    chest, lungs = empty_chest(seed, base_spacing)
    parts = max(1, round(spacing[0] / 1.25))
    low, high = z_range or (-20.0, 266.0)
    fine = np.array([spacing[0] / parts, *spacing[1:]])
    shape = np.array([int((high - low) / spacing[0]) * parts, *(int(350 / s) for s in spacing[1:])])
    corner = [-(shape[2] - 1) / 2 * fine[2], -(shape[1] - 1) / 2 * fine[1], low + fine[0] / 2]
    grid = Volume.from_geometry(np.zeros(shape, dtype=np.float32), spacing_kji_mm=fine, origin_lps=corner)
    inside = np.zeros(shape, dtype=bool)
    j, i = np.indices(shape[1:])
    source = chest.voxels.astype(np.float32)
    for k in range(shape[0]):
        index = chest.lps_to_index(motion.to_chest(grid.index_to_lps(np.stack([np.full(j.shape, k), j, i], axis=-1))))
        where = np.moveaxis(index, -1, 0)
        ndimage.map_coordinates(source, where, output=grid.voxels[k], order=1, cval=-1000)
        inside[k] = ndimage.map_coordinates(lungs, where, order=0, cval=False)
    for number, nodule, diameter in nodules:
        rng = np.random.default_rng((seed, number))
        center = grid.lps_to_index(motion.to_scan(nodule.center_lps))
        whole = np.rint(center).astype(int)
        if not (0 <= whole[0] < shape[0]):
            continue
        spec = NoduleSpec(diameter, density=nodule.density, edge_mm=1.0, elongation=1.15)  # type: ignore[arg-type]
        alpha, hu = render_nodule(spec, rng, fine, (center - whole) * fine)
        insert_nodule(grid.voxels, whole, ndimage.gaussian_filter(alpha, [0, *(IN_PLANE_BLUR_MM / fine[1:])]), hu)
    rng = np.random.default_rng(noise_seed)
    thick = grid.voxels.reshape(-1, parts, *shape[1:]).mean(axis=1)
    thick += ndimage.gaussian_filter(rng.standard_normal(thick.shape, dtype=np.float32), [0, 0.7, 0.7]) * 2.4 * noise_hu
    corner[2] = low + spacing[0] / 2
    volume = Volume.from_geometry(
        np.clip(np.rint(thick), -1024, 3071).astype(np.int16), spacing_kji_mm=spacing, origin_lps=corner
    )
    return volume, inside[parts // 2 :: parts].copy()


@dataclass(frozen=True, eq=False)
class FollowUp:
    """Two studies of a chest, and the truth: the numbers of the nodules in each one's findings, and the motion."""

    current: Study
    prior: Study
    nodules: tuple[Nodule, ...]
    current_numbers: tuple[int, ...]
    prior_numbers: tuple[int, ...]
    motion: Motion


def follow_up(
    seed: int,
    nodules: Sequence[Nodule],
    motion: Motion,
    *,
    base_spacing: tuple[float, float, float] = (2.5, 1.6, 1.6),
    spacing_then: tuple[float, float, float] = (2.5, 1.6, 1.6),
    spacing_now: tuple[float, float, float] = (2.5, 1.6, 1.6),
    noise_hu: float = 25.0,
    days: int = 180,
    prior_range: tuple[float, float] | None = None,
    lungs_of: Callable[[Volume], np.ndarray] | None = None,
) -> FollowUp:
    """Scan a chest twice and measure its nodules in both.

    :param lungs_of: finds the lungs; None takes the true ones.
    """
    studies, numbers = [], []
    for now in (True, False):
        there = [(n, x, x.now_mm if now else x.then_mm) for n, x in enumerate(nodules)]
        shown = [(n, x, size) for n, x, size in there if size is not None]
        moved = motion if now else Motion()
        volume, lungs = scanned(
            seed, base_spacing, shown, moved, spacing_now if now else spacing_then, noise_hu, 2 * seed + now,
            None if now else prior_range,
        )  # fmt: skip
        lungs = lungs if lungs_of is None else lungs_of(volume)
        parts = Lungs.of(volume, lungs)
        found = [(n, x, s) for n, x, s in shown if volume.contains(moved.to_scan(x.center_lps))]
        findings = tuple(
            measured_finding(volume, parts, moved.to_scan(x.center_lps), size, f"N{place}", x.score >= 0.5)
            for place, (_, x, size) in enumerate(found, start=1)
        )
        day = PRIOR_DAY + timedelta(days=days) if now else PRIOR_DAY
        studies.append(Study(volume, findings, day, lungs))
        numbers.append(tuple(n for n, _, _ in found))
    return FollowUp(studies[0], studies[1], tuple(nodules), numbers[0], numbers[1], motion)


def measured_finding(
    volume: Volume, lungs: Lungs, center: tuple[float, float, float], diameter: float, label: str, counts: bool = True
) -> StudyFinding:
    """A finding as a detection would give it: refined from a rough ball, and measured."""
    rough = sphere_mask(volume, center, diameter)
    mask = refine_mask(volume, rough, lung_mask=lungs.mask)
    mask = mask if mask.voxels.any() else rough
    measured = measure(volume, mask, lungs)
    return StudyFinding(label, middle_of(volume, mask), measured, facts_of(measured), counts, mask)


def middle_of(volume: Volume, mask: VoxelMask) -> tuple[float, float, float]:
    """Centre of mass of a mask, LPS mm."""
    x, y, z = (float(v) for v in volume.index_to_lps(np.argwhere(mask.voxels).mean(axis=0) + mask.start_kji))
    return x, y, z


def renamed(study: Study, order: Sequence[int]) -> Study:
    """The study with its findings in another order, named anew."""
    findings = tuple(replace(study.findings[n], label=f"N{i}") for i, n in enumerate(order, start=1))
    return replace(study, findings=findings)


def written_result(folder: Path, study: Study, **series: object) -> Path:
    """The study as a result folder, its scan as `<folder>.nrrd` beside it."""
    scan = folder.with_suffix(".nrrd")
    sitk.WriteImage(as_image(study.volume), str(scan), useCompression=False)
    volume = read_volume(scan)
    candidates = tuple(
        Candidate(
            n, f.center_lps, 0.9 if f.counts else 0.2, None,
            f.mask or sphere_mask(volume, f.center_lps, f.measured.diameter_mm), f.measured,
        )
        for n, f in enumerate(study.findings, start=1)
    )  # fmt: skip
    about = {**volume.metadata, "series_uid": f"1.2.{folder.name}", "source": str(scan), **series}
    if study.day is not None:
        about.setdefault("study_date", study.day.strftime("%Y%m%d"))
    result = DetectionResult(candidates, 0.5, about, {}, {}, {"lungnodulecad": "0"}, {})
    folder.mkdir()
    write_results(result, volume, folder)
    return folder
