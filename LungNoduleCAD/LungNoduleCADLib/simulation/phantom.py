"""The chest phantom: anatomy, trees, nodules and acquisition put together into one CT with its truth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np

from ..findings import ReferenceNodule
from ..volume import Volume
from .acquisition import KERNELS, acquire
from .anatomy import Anatomy, build_anatomy
from .lungs import LungTrees, build_trees
from .nodule_spec import NoduleSpec, draw_nodule_spec
from .phantom_spec import FOV_MM, Z_RANGES_MM, Frame, PhantomSpec, Size
from .placement import PlacedNodule, Placer, truth_mask
from .tissue import build_tissue, insert_into_tissue

_COARSE_STEP_MM: dict[Size, float] = {"chest": 2.5, "small": 3.2}
_DEFAULT_NODULES: dict[Size, int] = {"chest": 6, "small": 3}


@dataclass(frozen=True, eq=False)
class PhantomNodule(ReferenceNodule):
    """A reference nodule of which everything is known.

    `center_lps` is the centre of mass and `diameter_mm` that of the sphere of the true volume, both of the body within
    the lung (a juxtapleural nodule ends at the pleura), without spicules.

    :param spec: the nodule as wanted, with all that was drawn filled in.
    :param volume_mm3: true volume.
    """

    spec: NoduleSpec = field(default_factory=lambda: NoduleSpec(6.0))
    volume_mm3: float = 0.0


@dataclass(frozen=True, eq=False)
class Phantom:
    """A simulated CT and its truth.

    :param volume: int16 HU.
    :param lung_mask: bool, the same grid: lungs with vessels, airways and nodules, without trachea and mediastinum.
    """

    volume: Volume
    lung_mask: Volume
    nodules: tuple[PhantomNodule, ...]
    spec: PhantomSpec


def make_phantom(
    seed: int = 0,
    nodules: Sequence[NoduleSpec] | int | None = None,
    spacing_kji_mm: Sequence[float] | None = None,
    *,
    size: Size = "chest",
    **settings: Any,
) -> Phantom:
    """Build and scan a chest phantom; the same arguments always give the same voxels.

    :param nodules: specs; or how many to draw; None draws a few (six in a chest, three in a small phantom).
    :param spacing_kji_mm: voxel spacing; None is 1.0 x 0.7 x 0.7 mm, and 1.25 x 1.1 x 1.1 mm for the small size.
    :param settings: further fields of `PhantomSpec`.
    :raises InputError: when a setting cannot be simulated or the nodules do not fit.
    """
    if spacing_kji_mm is None:
        spacing_kji_mm = (1.0, 0.7, 0.7) if size == "chest" else (1.25, 1.1, 1.1)
    if settings.get("direction") is not None:
        rows = np.asarray(settings["direction"], dtype=float).reshape(3, 3).tolist()
        settings["direction"] = tuple(tuple(row) for row in rows)
    spacing = tuple(float(s) for s in spacing_kji_mm)
    spec = PhantomSpec(seed=seed, size=size, spacing_kji_mm=spacing, **settings)  # type: ignore[arg-type]
    streams = [np.random.default_rng(s) for s in np.random.SeedSequence(seed).spawn(6)]
    texture_rng, choice_rng, nodule_rng, noise_rng = streams[2:]
    if nodules is None:
        nodules = _DEFAULT_NODULES[size]
    if isinstance(nodules, int):
        nodules = [draw_nodule_spec(choice_rng) for _ in range(nodules)]

    anatomy, trees = _patient(seed, size)
    frame = Frame(spec)
    placed = _place_all(nodules, anatomy, trees, frame, nodule_rng)

    tissue, lung = build_tissue(anatomy, trees, frame, texture_rng)
    for nodule in placed:
        insert_into_tissue(tissue, nodule, anatomy, frame, nodule_rng)
    voxels = acquire(
        tissue,
        spacing_kji_mm=np.asarray(spacing),
        slices_per_output=frame.slices_per_output,
        thickness_mm=spec.thickness_mm or spacing[0],
        kernel=KERNELS[spec.kernel],
        noise_hu=spec.noise_hu / float(np.sqrt(spec.dose)),
        rng=noise_rng,
    )
    volume = Volume(voxels, frame.ijk_to_lps, _metadata(spec))
    truth = tuple(_truth(nodule, anatomy, frame, number) for number, nodule in enumerate(placed, start=1))
    return Phantom(volume, volume.with_voxels(lung), truth, spec)


@lru_cache(maxsize=2)
def _patient(seed: int, size: Size) -> tuple[Anatomy, LungTrees]:
    """One patient's anatomy and trees, kept because the same patient is often wanted with other nodules or noise.

    The trees need the whole lungs, whatever part of them is shown.
    """
    patient_rng, tree_rng = (np.random.default_rng(s) for s in np.random.SeedSequence(seed).spawn(2))
    anatomy = build_anatomy(patient_rng, FOV_MM, Z_RANGES_MM["chest"], _COARSE_STEP_MM[size])
    return anatomy, build_trees(anatomy, tree_rng)


def _place_all(
    specs: Sequence[NoduleSpec], anatomy: Anatomy, trees: LungTrees, frame: Frame, rng: np.random.Generator
) -> list[PlacedNodule]:
    if not specs:
        return []
    half = frame.tissue_spacing[0] / 2
    z_range = (float(frame.tissue_z[0] - half), float(frame.tissue_z[-1] + half))
    placer = Placer(anatomy, trees.vessels, trees.airway_walls, z_range)
    placed: dict[int, PlacedNodule] = {}
    # Fixed ones first, then large ones first: they have the fewest places to go.
    order = sorted(range(len(specs)), key=lambda n: (specs[n].center_lps is None, -specs[n].diameter_mm))
    for n in order:
        spec = specs[n]
        if spec.center_lps is not None:
            placed[n] = placer.fixed(spec, frame.from_lps(spec.center_lps), rng)
        else:
            placed[n] = placer.place(spec, list(placed.values()), rng)
    return [placed[n] for n in range(len(specs))]


def _truth(nodule: PlacedNodule, anatomy: Anatomy, frame: Frame, number: int) -> PhantomNodule:
    mask, volume, center = truth_mask(nodule, anatomy, frame.first_voxel_xyz, frame.spacing, frame.shape)
    return PhantomNodule(
        center_lps=frame.to_lps(center),
        diameter_mm=(6 * volume / np.pi) ** (1 / 3),
        label=f"N{number} {nodule.model.spec.density} {nodule.model.spec.location}",
        mask=mask,
        spec=nodule.model.spec,
        volume_mm3=volume,
    )


def _metadata(spec: PhantomSpec) -> dict[str, Any]:
    name = f"phantom-{spec.seed}"
    return {
        "source": name,
        "modality": "CT",
        "series_uid": name,
        "study_uid": name,
        "patient_id": name,
        "series_description": f"simulated chest, {spec.size}, {spec.kernel} kernel",
        "kernel": spec.kernel,
        "slice_thickness_mm": spec.thickness_mm or spec.spacing_kji_mm[0],
        "format": "phantom",
    }
