"""From heat to candidates, with fakes in place of trained networks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import ndimage
from test_cards import TINY_HYBRID, card_fields

from LungNoduleCADLib.detection.control import STAGES, RunControl
from LungNoduleCADLib.detection.detector import Detector
from LungNoduleCADLib.detection.devices import choose_device, with_memory_fallback
from LungNoduleCADLib.detection.group import GroupingSettings, Proposal, group
from LungNoduleCADLib.detection.masks import mask_on_volume
from LungNoduleCADLib.detection.network_parts import NetworkScorer
from LungNoduleCADLib.detection.propose import heat_map, slice_stacks
from LungNoduleCADLib.detection.score import classify
from LungNoduleCADLib.errors import Cancelled, DeviceError
from LungNoduleCADLib.findings import Candidate, VoxelMask
from LungNoduleCADLib.measurement import measure
from LungNoduleCADLib.networks.hybrid import HybridClassifier
from LungNoduleCADLib.networks.weights import load_model, save_model
from LungNoduleCADLib.volume import Volume


def ball(shape, center, diameter) -> np.ndarray:
    axes = np.ogrid[tuple(slice(0, n) for n in shape)]
    distance = np.sqrt(sum((a - c) ** 2 for a, c in zip(axes, center, strict=True)))
    return np.clip(diameter / 2 - distance + 0.5, 0, 1).astype(np.float32)


class MiddleSlice(torch.nn.Module):
    """Says nodule where the focus slice is bright."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (x[:, x.shape[1] // 2 : x.shape[1] // 2 + 1] - 0.5) * 20


def test_slice_stacks_hold_each_slice_with_its_neighbours() -> None:
    image = torch.arange(10.0)[:, None, None].expand(10, 2, 2)
    stacks = slice_stacks(image, 0, 10, 7)[:, :, 0, 0]
    assert stacks.shape == (10, 7)
    assert stacks[5].tolist() == [2, 3, 4, 5, 6, 7, 8]
    assert stacks[0].tolist() == [0, 0, 0, 0, 1, 2, 3]
    assert stacks[9].tolist() == [6, 7, 8, 9, 9, 9, 9]


@pytest.mark.parametrize("batch", [1, 3, 8, 50])
def test_heat_map_does_not_depend_on_the_batch_and_is_zero_outside(batch: int) -> None:
    rng = np.random.default_rng(0)
    image = torch.from_numpy(rng.random((21, 45, 38), dtype=np.float32))
    inside = np.zeros(image.shape, dtype=bool)
    inside[4:18, 10:40, 5:30] = True
    heat = heat_map(MiddleSlice(), image, inside, batch=batch)
    expected = torch.sigmoid((image - 0.5) * 20).numpy() * inside
    assert np.allclose(heat, expected, atol=1e-6)


def test_heat_map_can_be_stopped_between_two_batches() -> None:
    calls = []

    def stop(fraction: float) -> None:
        calls.append(fraction)
        if len(calls) == 3:
            raise Cancelled

    with pytest.raises(Cancelled):
        heat_map(MiddleSlice(), torch.rand(40, 16, 16), batch=4, progress=stop)
    assert calls == [0.0, 0.1, 0.2]


def test_a_three_millimetre_nodule_survives_grouping() -> None:
    """The textbook's clean-up erodes it away."""
    heat = 0.9 * ball((30, 30, 30), (15, 14, 16), 3.0)
    (proposal,) = group(heat)
    assert np.allclose(proposal.center_kji, (15, 14, 16), atol=0.3)


def test_a_speck_does_not() -> None:
    heat = np.zeros((20, 20, 20), dtype=np.float32)
    heat[10, 10, 10] = 1.0
    assert group(heat) == []


def test_the_same_nodule_survives_at_any_spacing() -> None:
    for spacing in (0.5, 1.0, 1.5):
        heat = 0.9 * ball((40, 40, 40), (20, 20, 20), 4.5 / spacing)
        assert len(group(heat, spacing)) == 1, spacing


def test_diagonal_neighbours_are_one_group() -> None:
    heat = np.zeros((12, 12, 12), dtype=np.float32)
    for n in range(3, 9):
        heat[n, n, n] = heat[n, n, n - 1] = 0.9
    assert len(group(heat, settings=GroupingSettings(split_distance_mm=20))) == 1


def test_touching_nodules_are_split_and_a_lobulated_one_is_not() -> None:
    pair = np.maximum(ball((40, 40, 50), (20, 20, 18), 10), ball((40, 40, 50), (20, 20, 29), 10))
    soft = ndimage.gaussian_filter(pair, 1.5)
    proposals = group(soft.astype(np.float32), settings=GroupingSettings(split_valley=0.9))
    assert len(proposals) == 2
    assert sorted(round(p.center_kji[2]) for p in proposals) == pytest.approx([18, 29], abs=1)
    assert not (np.logical_and(*[_placed(p, pair.shape) for p in proposals]).any()), (
        "a voxel belongs to one nodule only"
    )
    lobulated = np.maximum(ball((40, 40, 50), (20, 20, 20), 12), ball((40, 40, 50), (20, 20, 25), 11))
    assert len(group(ndimage.gaussian_filter(lobulated, 1.0).astype(np.float32))) == 1


def _placed(proposal, shape) -> np.ndarray:
    out = np.zeros(shape, dtype=bool)
    out[tuple(slice(s, s + n) for s, n in zip(proposal.start_kji, proposal.voxels.shape, strict=True))] = (
        proposal.voxels
    )
    return out


def test_proposals_are_ordered_and_limited() -> None:
    heat = np.zeros((20, 20, 120), dtype=np.float32)
    for n, peak in enumerate((0.4, 0.9, 0.6)):
        heat += peak * ball(heat.shape, (10, 10, 20 + 40 * n), 6)
    assert [round(p.center_kji[2]) for p in group(heat)] == [60, 100, 20]
    assert len(group(heat, settings=GroupingSettings(maximum=2))) == 2


@pytest.mark.parametrize("spacing", [(1.0, 0.7, 0.7), (3.0, 0.9, 0.9), (0.5, 0.5, 0.5)])
def test_a_proposal_lands_on_the_scans_voxels(spacing: tuple[float, float, float]) -> None:
    turn = np.array([[0.0, 0.0, 1.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    volume = Volume.from_geometry(
        np.zeros((40, 90, 90), np.int16), spacing_kji_mm=spacing, origin_lps=(3, 4, 5), direction=turn
    )
    start = np.array([6, 10, 12])
    grid = Volume.from_geometry(
        np.zeros((12, 30, 30), np.float32), origin_lps=volume.index_to_lps(start), direction=turn
    )
    (proposal,) = group(ball(grid.shape, (6, 14, 15), 8.0))
    mask = mask_on_volume(proposal, grid, volume)
    center = volume.index_to_lps(np.argwhere(mask.voxels).mean(axis=0) + mask.start_kji)
    assert np.linalg.norm(center - grid.index_to_lps((6, 14, 15))) < 0.6
    expected = proposal.volume
    assert mask.voxels.sum() * np.prod(spacing) == pytest.approx(expected, rel=0.2)


def test_a_tiny_proposal_keeps_a_voxel_on_thick_slices() -> None:
    volume = Volume.from_geometry(np.zeros((10, 20, 20), np.int16), spacing_kji_mm=(5.0, 1.0, 1.0))
    grid = Volume.from_geometry(np.zeros((46, 20, 20), np.float32))
    (proposal,) = group(ball(grid.shape, (22, 10, 10), 3.0))
    assert mask_on_volume(proposal, grid, volume).voxels.any()


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (0.5, 0.5, 0.5), (2.0, 0.5, 0.5)])
def test_a_proposal_reaches_to_its_voxels_borders(spacing: tuple[float, float, float]) -> None:
    grid = Volume.from_geometry(np.zeros((20, 20, 20), np.float32))
    shape = np.rint(20 / np.array(spacing)).astype(int)
    # Both begin at the same corner, so that borders meet borders.
    corner = tuple(float(s - 1) / 2 for s in spacing[::-1])
    volume = Volume.from_geometry(np.zeros(shape, np.int16), spacing_kji_mm=spacing, origin_lps=corner)
    block = Proposal((5.5, 7.5, 9.5), 0.9, (4, 6, 8), np.ones((4, 4, 4), dtype=bool))
    mask = mask_on_volume(block, grid, volume)
    assert mask.start_kji == tuple(int(a / s) for a, s in zip((4, 6, 8), spacing, strict=True))
    assert np.array(mask.voxels.shape) * spacing == pytest.approx(4.0)
    middle = mask.voxels.shape[1] // 2
    assert mask.voxels[:, middle, middle].all()
    assert mask.voxels[0].mean() > 0.8, "only its corners are rounded"


def test_classifier_sees_patches_centred_on_the_proposals() -> None:
    class Center(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            middle = x[:, 0, 32, 32, 32]
            return torch.stack((middle, -middle), dim=1)

    image = torch.zeros(30, 40, 50)
    centers = [(1.0, 2.0, 3.0), (28.0, 38.0, 48.0), (10.2, 20.4, 30.6)]
    # Mirrored, the centre of an even number of voxels is the voxel beside it.
    for value, (k, j, i) in zip((0.2, 0.5, 0.9), ((1, 2, 3), (28, 38, 48), (10, 20, 31)), strict=True):
        image[k - 1 : k + 2, j - 1 : j + 2, i - 1 : i + 2] = value
    logits = classify(Center(), image, centers, batch=2)
    assert np.allclose(logits[:, 0], (0.2, 0.5, 0.9))
    assert classify(Center(), image, []).shape == (0, 2)


def test_a_patch_and_its_mirror_images_are_one_opinion() -> None:
    class Corner(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            corner = x[:, 0, :32, :16, :48].mean(dim=(1, 2, 3))
            return torch.stack((corner, corner), dim=1)

    image = torch.rand(64, 64, 64)
    middle = [(32.0, 32.0, 32.0)]
    seen = classify(Corner(), image, middle)
    for axis in range(3):
        assert not np.allclose(Corner()(image[None, None]), Corner()(image.flip(axis)[None, None]), atol=1e-5)
    whole = [Corner()(image.flip(axes)[None, None]) for axes in ((), (0,), (1,), (2,))]
    assert np.allclose(seen, torch.stack(whole).mean(dim=0), atol=1e-5)


def test_memory_shortage_halves_the_batch_then_says_so() -> None:
    tried, notes = [], []

    def run(device: torch.device, batch: int) -> str:
        tried.append(batch)
        if batch > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return "done"

    assert with_memory_fallback(run, torch.device("cpu"), 8, notes.append, "the network") == "done"
    assert tried == [8, 4, 2]
    assert len(notes) == 2 and "4" in notes[0]


def test_memory_shortage_on_a_gpu_ends_on_the_cpu() -> None:
    notes: list[str] = []

    def run(device: torch.device, batch: int) -> str:
        if device.type != "cpu":
            raise RuntimeError("MPS backend out of memory")
        return device.type

    assert with_memory_fallback(run, torch.device("mps"), 2, notes.append, "the network") == "cpu"
    assert "CPU" in notes[-1]


def test_memory_shortage_everywhere_is_one_sentence() -> None:
    def run(device: torch.device, batch: int) -> None:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory")

    with pytest.raises(DeviceError, match="not enough memory"):
        with_memory_fallback(run, torch.device("cpu"), 2, lambda text: None, "the network")


def test_other_errors_are_not_taken_for_memory() -> None:
    def run(device: torch.device, batch: int) -> None:
        raise RuntimeError("shapes do not match")

    with pytest.raises(RuntimeError, match="shapes"):
        with_memory_fallback(run, torch.device("cpu"), 8, lambda text: None, "the network")


def test_unknown_and_missing_devices_are_refused() -> None:
    with pytest.raises(DeviceError, match="unknown"):
        choose_device("tpu")
    if not torch.cuda.is_available():
        with pytest.raises(DeviceError, match="auto"):
            choose_device("cuda")


def test_control_times_stages_and_stops_when_asked() -> None:
    seen = []
    control = RunControl(progress=lambda stage, fraction: seen.append((stage, fraction)))
    with control.stage(STAGES[0]) as report:
        report(0.5)
    assert seen == [("lung mask", 0.0), ("lung mask", 0.5), ("lung mask", 1.0)]
    assert control.timings_s["lung mask"] >= 0
    with pytest.raises(Cancelled):
        RunControl(cancelled=lambda: True).report("lung mask", 0)


@pytest.mark.parametrize("plane_slope", [0.0, 2.0])
def test_proposals_are_looked_at_from_the_side_when_the_card_says_so(plane_slope: float, tmp_path: Path) -> None:
    """The scorer asks the proposer, and what it answers moves the score as the calibration says."""
    asked: list[int] = []

    def look_again(image: torch.Tensor, proposals: list[Proposal], *_: object) -> np.ndarray:
        asked.append(len(proposals))
        return np.array([0.9, 0.1])

    calibration = {"method": "platt", "slope": 1.0, "intercept": 0.0, "plane_slope": plane_slope}
    fields = {**card_fields(patch_size=32), "calibration": calibration}
    save_model(HybridClassifier(TINY_HYBRID), fields, tmp_path)
    network, card = load_model(tmp_path, "classification")
    scorer = NetworkScorer(network, card, torch.device("cpu"), 2, look_again)
    proposal = Proposal((20.0, 20.0, 20.0), 0.5, (19, 19, 19), np.ones((3, 3, 3), dtype=bool))
    first, second = scorer(torch.zeros(40, 40, 40), [proposal, proposal], lambda _: None, lambda _: None)[:, 0]
    assert asked == ([2] if plane_slope else [])
    assert (first > second + 0.3) if plane_slope else first == second


def _candidates_from(boxes: Sequence[tuple[slice, slice, slice]], tmp_path: Path) -> list[Candidate]:
    """What a detector keeps of outlines that are these boxes, each scored lower than the one before."""
    volume = Volume.from_geometry(np.full((30, 30, 60), -860.0, dtype=np.float32))
    for box in boxes:
        volume.voxels[box] = 40.0
    masks = [
        VoxelMask(tuple(s.start for s in box), np.ones([s.stop - s.start for s in box], dtype=bool)) for box in boxes
    ]
    proposals = [
        Proposal(tuple((s.start + s.stop - 1) / 2 for s in box), 0.9, mask.start_kji, mask.voxels)
        for box, mask in zip(boxes, masks, strict=True)
    ]
    card = save_model(HybridClassifier(TINY_HYBRID), card_fields(patch_size=32), tmp_path)
    detector = Detector(
        lambda image, inside, control, warn: np.zeros(tuple(image.shape), dtype=np.float32),
        lambda image, proposals, control, warn: np.array([[0.9 - 0.1 * n, 0.5] for n in range(len(proposals))]),
        cards={"segmentation": replace(card, malignancy=None), "classification": replace(card, malignancy=None)},
        device=torch.device("cpu"),
        grouper=lambda heat, spacing: proposals,
        measurer=lambda volume, mask, lungs: (mask, measure(volume, mask, lungs)),
    )
    return list(detector.detect(volume, lung_mask=None).candidates)


LONG = (slice(10, 14), slice(10, 14), slice(10, 40))


@pytest.mark.parametrize(
    ("other", "kept"),
    [
        ((slice(10, 14), slice(10, 14), slice(33, 43)), 1),  # seven tenths of it in the first's outline
        ((slice(10, 14), slice(10, 14), slice(37, 47)), 2),  # three tenths
        ((slice(11, 13), slice(11, 13), slice(24, 26)), 1),  # its middle
        ((slice(20, 24), slice(10, 14), slice(10, 40)), 2),  # beside it
    ],
)
def test_a_nodule_marked_twice_is_one_candidate(other: tuple[slice, slice, slice], kept: int, tmp_path: Path) -> None:
    found = _candidates_from([LONG, other], tmp_path)
    assert len(found) == kept
    assert found[0].score == pytest.approx(0.9)


def test_a_large_outline_is_not_lost_to_a_small_one_in_it(tmp_path: Path) -> None:
    tip = (slice(11, 13), slice(11, 13), slice(36, 40))
    found = _candidates_from([tip, LONG], tmp_path)
    assert [c.mask.voxels.sum() for c in found] == [16, 480]


@pytest.mark.parametrize(
    ("shift", "common"), [((0, 0, 0), 8), ((1, 0, 0), 4), ((1, 1, 1), 1), ((2, 0, 0), 0), ((0, -9, 0), 0)]
)
def test_masks_know_what_they_have_in_common(shift: tuple[int, int, int], common: int) -> None:
    block = np.ones((2, 2, 2), dtype=bool)
    one, other = VoxelMask((10, 10, 10), block), VoxelMask(tuple(10 + s for s in shift), block)
    assert one.common(other) == other.common(one) == common
    assert one.common(VoxelMask(other.start_kji, np.zeros_like(block))) == 0
