"""Maps of what the classifier looks at: of networks whose reasons are known, and of the shipped one on the phantom."""

from __future__ import annotations

import functools
import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageSequence
from result_inputs import AXES
from scipy import ndimage
from test_cards import TINY_HYBRID, card_fields
from torch import Tensor, nn

from LungNoduleCADLib.detection.control import RunControl
from LungNoduleCADLib.detection.detector import MODELS, Detector
from LungNoduleCADLib.detection.group import Proposal
from LungNoduleCADLib.errors import Cancelled, InputError
from LungNoduleCADLib.explain.explainer import STAGES, Explainer, ExplainerSettings, Explanation
from LungNoduleCADLib.explain.gradients import GradientSettings, integrated_gradients
from LungNoduleCADLib.explain.heat import heat_colors, visible_from
from LungNoduleCADLib.explain.occlusion import LUNG_HU, OcclusionSettings, filled, occlusion_map
from LungNoduleCADLib.explain.patch import CandidatePatch, as_batch, candidate_patch
from LungNoduleCADLib.explain.pictures import (
    FIELD_MM,
    FRAME_PX,
    Pictured,
    feature_maps_sheet,
    film_slices,
    overlay_picture,
    slices_film,
)
from LungNoduleCADLib.findings import VoxelMask
from LungNoduleCADLib.networks.hybrid import HybridClassifier
from LungNoduleCADLib.networks.weights import load_model, save_model
from LungNoduleCADLib.preprocess.patches import extract_patches
from LungNoduleCADLib.preprocess.prepare import PreparedLung, prepare_lung
from LungNoduleCADLib.preprocess.settings import Preprocessing
from LungNoduleCADLib.simulation import make_phantom
from LungNoduleCADLib.simulation.phantom import Phantom
from LungNoduleCADLib.volume import Volume

SETTINGS = Preprocessing(patch_size=32)
QUICK = ExplainerSettings(OcclusionSettings(side_mm=9.0, step_mm=10.0), GradientSettings(steps=4))
GREEN = (0.1, 0.9, 0.1)


class Weighted(nn.Module):
    """Nodule logit: the sum of the voxels, each with its weight."""

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight)

    def forward(self, patches: Tensor) -> Tensor:
        logit = (patches[:, 0] * self.weight).sum(dim=(1, 2, 3))
        return torch.stack((logit, -logit), dim=1)


def looks_at(size: int = 32, start: tuple[int, int, int] = (18, 8, 12), side: int = 5) -> Weighted:
    """A network that takes any bright voxel of one cube for a nodule."""
    weight = torch.zeros(size, size, size)
    weight[tuple(slice(a, a + side) for a in start)] = 1.0
    return Weighted(weight)


def noise(size: int = 32, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random((size, size, size), dtype=np.float32)


def peak(values: Volume) -> np.ndarray:
    """LPS position of the greatest value."""
    return values.index_to_lps(np.unravel_index(int(np.argmax(values.voxels)), values.shape))


# -- the patch ---------------------------------------------------------------------------------------------------------
@functools.lru_cache(maxsize=1)
def phantom() -> Phantom:
    return make_phantom(seed=0, size="small")


@pytest.mark.parametrize("nodule", [0, 2])
def test_the_classifier_is_asked_about_what_it_saw_in_the_detection(nodule: int) -> None:
    """A detector whose scorer keeps its input; the explanation's patch is the same, voxel by voxel."""
    seen: list[tuple[Tensor, tuple[float, float, float]]] = []
    scan, place = phantom().volume, phantom().nodules[nodule].center_lps
    _, card = load_model(MODELS, "classification")
    grids: list[Volume] = []

    def group(heat: np.ndarray, spacing_mm: float) -> list[Proposal]:
        lung = phantom().lung_mask.voxels.astype(bool)
        grids.append(prepare_lung(scan, lung, card.preprocessing).grid)
        k, j, i = (float(v) for v in grids[0].lps_to_index(place))
        voxels = np.ones((3, 3, 3), dtype=bool)
        return [Proposal((k, j, i), 0.9, (round(k) - 1, round(j) - 1, round(i) - 1), voxels)]

    def score(image: Tensor, proposals: list[Proposal], *_: object) -> np.ndarray:
        seen.extend((image, p.center_kji) for p in proposals)
        return np.full((len(proposals), 2), 0.5)

    cards = {task: load_model(MODELS, task)[1] for task in ("segmentation", "classification")}  # type: ignore[arg-type]
    detector = Detector(
        lambda image, *_: np.zeros(tuple(image.shape), np.float32),
        score,
        cards=cards,
        device=torch.device("cpu"),
        grouper=group,
    )
    detector.detect(scan, lung_mask=phantom().lung_mask)
    [(image, center)] = seen
    lung = phantom().lung_mask.voxels.astype(bool)
    patch = candidate_patch(prepare_lung(scan, lung, card.preprocessing), place, 64)
    np.testing.assert_array_equal(patch.values, extract_patches(image, center, 64)[0, 0].numpy())
    middle = patch.grid.index_to_lps((32, 32, 32))
    assert np.abs(middle - place).max() <= 0.5 + 1e-6


@pytest.mark.parametrize("axes", list(AXES))
@pytest.mark.parametrize("spacing", [(2.5, 0.7, 0.9), (0.5, 0.5, 0.5)])
def test_a_map_lies_where_its_patch_lies_in_the_scan(axes: str, spacing: tuple[float, float, float]) -> None:
    """A map that grows linearly along the patient's axes has that same value at each voxel of the scan."""
    voxels = np.zeros((40, 70, 80), dtype=np.int16)
    scan = Volume.from_geometry(
        voxels,
        spacing_kji_mm=spacing,
        origin_lps=(-30.0, 12.0, 5.0),
        direction=AXES[axes],
        metadata={"series_uid": "1"},
    )
    prepared = PreparedLung(*resampled(scan), None, np.zeros(3, dtype=np.int64))
    patch = candidate_patch(prepared, scan.index_to_lps((18.0, 31.0, 42.0)), 16)
    slope = np.array([0.3, -0.2, 0.5])
    values = patch.grid.index_to_lps(np.moveaxis(np.indices(patch.values.shape), 0, -1)) @ slope
    shown = patch.on_scan(values.astype(np.float32), scan)
    places = shown.index_to_lps(np.moveaxis(np.indices(shown.shape), 0, -1))
    inner = (np.abs(patch.grid.lps_to_index(places) - 7.5) <= 7.5).all(axis=-1)
    assert inner.sum() > 50
    np.testing.assert_allclose(shown.voxels[inner], (places @ slope)[inner], atol=1e-3)
    # On the scan's own voxels, all of those within the patch and no others.
    start = scan.lps_to_index(shown.origin_lps)
    np.testing.assert_allclose(start, np.rint(start), atol=1e-6)
    np.testing.assert_allclose(shown.spacing_kji_mm, scan.spacing_kji_mm)
    every = patch.grid.lps_to_index(scan.index_to_lps(np.moveaxis(np.indices(scan.shape), 0, -1)))
    assert ((every >= -0.5 - 1e-6) & (every <= 15.5 + 1e-6)).all(axis=-1).sum() == shown.voxels.size


def resampled(scan: Volume) -> tuple[Tensor, Volume]:
    prepared = prepare_lung(scan, None, SETTINGS)
    return prepared.image, prepared.grid


def test_a_map_is_cut_where_the_scan_ends() -> None:
    scan = Volume.from_geometry(np.zeros((12, 30, 30), dtype=np.int16))
    prepared = prepare_lung(scan, None, SETTINGS)
    patch = candidate_patch(prepared, scan.index_to_lps((1, 2, 28)), 16)
    shown = patch.on_scan(np.ones((16, 16, 16), dtype=np.float32), scan)
    assert shown.shape == (9, 10, 10)
    assert shown.origin_lps.tolist() == [20.0, 0.0, 0.0]
    assert (patch.values[:, :6] == 0).all(), "beyond the scan the classifier is given air"


# -- occlusion ---------------------------------------------------------------------------------------------------------
def test_occlusion_finds_the_only_place_that_matters() -> None:
    patch = np.full((32, 32, 32), 0.9, dtype=np.float32)
    values = occlusion_map(looks_at(), patch, SETTINGS, OcclusionSettings(side_mm=5.0, step_mm=2.0))
    assert values.shape == patch.shape and values.dtype == np.float32
    # The cube [18, 23) x [8, 13) x [12, 17), covered whole when the cube is centred on its middle.
    assert values[20, 10, 14] == pytest.approx(125 * (0.9 - filled(LUNG_HU, SETTINGS)), rel=1e-5)
    assert values.max() == values[20, 10, 14]
    far = np.ones(values.shape, dtype=bool)
    far[13:28, 3:18, 7:22] = False
    assert np.abs(values[far]).max() < 1e-3


def test_occlusion_is_negative_where_covering_helps() -> None:
    network = looks_at()
    network.weight.data *= -1
    values = occlusion_map(network, np.full((32, 32, 32), 0.9, np.float32), SETTINGS)
    assert values.min() < -1 and values.max() < 1e-3


@pytest.mark.parametrize("batch", [1, 7, 500])
def test_occlusion_does_not_depend_on_the_batch(batch: int) -> None:
    settings = OcclusionSettings(step_mm=6.0)
    expected = occlusion_map(looks_at(), noise(), SETTINGS, settings, batch=16)
    np.testing.assert_allclose(occlusion_map(looks_at(), noise(), SETTINGS, settings, batch=batch), expected, atol=1e-4)


def test_lengths_are_in_millimetres() -> None:
    """At 2 mm a voxel the same cube has an eighth of the voxels."""
    falls = [
        occlusion_map(looks_at(), np.full((32, 32, 32), 0.9, np.float32), Preprocessing(spacing_mm=spacing),
                      OcclusionSettings(side_mm=10.0, step_mm=4.0)).max()
        for spacing in (1.0, 2.0)
    ]  # fmt: skip
    assert falls[0] == pytest.approx(falls[1], rel=1e-4) == 125 * (0.9 - filled(LUNG_HU, SETTINGS))


def test_occluding_leaves_the_patch_as_it_was() -> None:
    patch = noise()
    before = patch.copy()
    occlusion_map(looks_at(), patch, SETTINGS, OcclusionSettings(step_mm=8.0))
    np.testing.assert_array_equal(patch, before)


# -- gradients ---------------------------------------------------------------------------------------------------------
def test_gradients_of_a_linear_network_are_its_weights() -> None:
    weight = torch.from_numpy(noise(seed=4)) - 0.5
    values = integrated_gradients(Weighted(weight), noise(), SETTINGS, GradientSettings(steps=3, smooth_mm=0.0))
    expected = weight.numpy() * (noise() - filled(LUNG_HU, SETTINGS))
    np.testing.assert_allclose(values, expected, atol=1e-6)


def test_smoothing_and_spacing_keep_the_sum() -> None:
    network, settings = looks_at(), GradientSettings(steps=2)
    for spacing in (1.0, 2.0):
        values = integrated_gradients(network, noise(), Preprocessing(spacing_mm=spacing), settings, batch=1)
        with torch.inference_mode():
            logits = [float(network(as_batch(p, "cpu"))[0, 0]) for p in (noise(), empty_lung(32))]
        assert values.sum() * spacing**3 == pytest.approx(logits[0] - logits[1], rel=1e-3)


def empty_lung(size: int) -> np.ndarray:
    return np.full((size, size, size), filled(LUNG_HU, SETTINGS), dtype=np.float32)


# -- the shipped classifier on the phantom -----------------------------------------------------------------------------
@functools.lru_cache(maxsize=1)
def explained(nodule: int) -> Explanation:
    explainer = Explainer.load(device="cpu")
    return explainer.explain(phantom().volume, phantom().nodules[nodule].center_lps)


def test_the_shipped_classifier_looks_at_a_clear_solid_nodule() -> None:
    nodule = phantom().nodules[2]
    assert nodule.label.endswith("solid isolated") and 6 < nodule.diameter_mm < 9
    explanation = explained(2)
    for values in (explanation.occlusion, explanation.gradients):
        distance = np.linalg.norm(peak(values) - nodule.center_lps)
        assert distance <= nodule.diameter_mm / 2 + 2
    # Without the nodule nothing is left of the score: it does not come from elsewhere.
    assert explanation.occlusion.voxels.max() > 0.8 * explanation.logit > 1


def test_the_gradients_add_up_to_the_logit() -> None:
    explanation = explained(2)
    network, card = load_model(MODELS, "classification")
    values = integrated_gradients(network, explanation.patch.values, card.preprocessing)
    with torch.inference_mode():
        empty = float(network(as_batch(empty_lung(64), "cpu"))[0, 0])
    assert values.sum() == pytest.approx(explanation.logit - empty, abs=0.05)


def test_a_network_that_has_learnt_nothing_gives_other_maps() -> None:
    """Adebayo et al., NeurIPS 2018: a map that stays the same shows the image, not the network."""
    network, card = load_model(MODELS, "classification")
    torch.manual_seed(0)
    random = HybridClassifier(card.config).eval()
    settings = ExplainerSettings(OcclusionSettings(step_mm=8.0), GradientSettings(steps=16))
    nodule = phantom().nodules[2]
    trained, untrained = (
        Explainer(n, card, "cpu", settings).explain(phantom().volume, nodule.center_lps) for n in (network, random)
    )
    for name in ("occlusion", "gradients"):
        one, other = (getattr(e, name).voxels.ravel() for e in (trained, untrained))
        assert abs(np.corrcoef(one, other)[0, 1]) < 0.5, name
    assert np.linalg.norm(peak(untrained.occlusion) - nodule.center_lps) > nodule.diameter_mm / 2 + 2


# -- the run -----------------------------------------------------------------------------------------------------------
@pytest.fixture
def tiny(tmp_path: Path) -> Explainer:
    """A network that has learnt nothing."""
    torch.manual_seed(0)
    save_model(HybridClassifier(TINY_HYBRID), card_fields(patch_size=32), tmp_path / "weights")
    return Explainer.load(tmp_path / "weights", "cpu", QUICK)


def small_scan() -> Volume:
    random = np.random.default_rng(0)
    return Volume.from_geometry(random.normal(-800, 60, (40, 48, 50)).astype(np.int16), spacing_kji_mm=(1.2, 0.9, 0.8))


def test_stages_come_in_order_and_end(tiny: Explainer) -> None:
    reports: list[tuple[str, float]] = []
    control = RunControl(lambda stage, fraction: reports.append((stage, fraction)))
    tiny.explain(small_scan(), (20.0, 20.0, 20.0), lung_mask=None, control=control)
    assert list(dict.fromkeys(stage for stage, _ in reports)) == list(STAGES)
    for stage in STAGES:
        fractions = [fraction for name, fraction in reports if name == stage]
        assert fractions == sorted(fractions) and fractions[-1] == 1.0


@pytest.mark.parametrize("stage", STAGES)
def test_a_run_ends_where_the_caller_cancels(tiny: Explainer, stage: str) -> None:
    reached: list[str] = []
    control = RunControl(lambda name, fraction: reached.append(name), lambda: stage in reached)
    with pytest.raises(Cancelled):
        tiny.explain(small_scan(), (20.0, 20.0, 20.0), lung_mask=None, control=control)
    assert reached[-1] == stage


def test_short_memory_makes_smaller_batches_and_it_is_said(tiny: Explainer) -> None:
    whole = tiny._network.forward
    sizes: list[int] = []

    def forward(patches: Tensor) -> Tensor:
        sizes.append(len(patches))
        if len(patches) > 4:
            raise torch.OutOfMemoryError("out of memory")
        return whole(patches)

    tiny._network.forward = forward  # type: ignore[method-assign]
    explanation = tiny.explain(small_scan(), (20.0, 20.0, 20.0), lung_mask=None)
    assert max(sizes) > 4 and "went on with 4" in " ".join(explanation.warnings)


def test_a_place_outside_the_scan_is_refused(tiny: Explainer) -> None:
    with pytest.raises(InputError, match="outside the scan"):
        tiny.explain(small_scan(), (20.0, 20.0, 200.0))


def test_the_same_question_has_the_same_answer(tiny: Explainer) -> None:
    first, again = (tiny.explain(small_scan(), (20.0, 20.0, 20.0), lung_mask=None) for _ in range(2))
    np.testing.assert_array_equal(first.occlusion.voxels, again.occlusion.voxels)
    np.testing.assert_array_equal(first.gradients.voxels, again.gradients.voxels)


# -- pictures ----------------------------------------------------------------------------------------------------------
def opened(content: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB")).astype(int)


def pictured(scan: Volume, center_kji: tuple[int, int, int], half: int = 3) -> Pictured:
    start = tuple(c - half for c in center_kji)
    side = 2 * half + 1
    x, y, z = (float(v) for v in scan.index_to_lps(center_kji))
    return Pictured("N7", (x, y, z), GREEN, VoxelMask(start, np.ones((side, side, side), bool)))  # type: ignore[arg-type]


def with_peak(explanation: Explanation, scan: Volume, at_kji: tuple[int, int, int]) -> Explanation:
    """The same with an occlusion map that has a value in one place only."""
    from dataclasses import replace

    values = np.zeros(scan.shape, dtype=np.float32)
    values[tuple(slice(c - 2, c + 3) for c in at_kji)] = 3.0
    return replace(explanation, occlusion=scan.with_voxels(values))


def test_the_overlay_is_where_the_map_is(tiny: Explainer) -> None:
    scan, center = small_scan(), (20, 24, 25)
    finding = pictured(scan, center)
    explanation = tiny.explain(scan, finding.center_lps, lung_mask=None)
    pictures = [
        opened(overlay_picture(with_peak(explanation, scan, place), scan, finding)) for place in (center, (20, 24, 35))
    ]
    hot = [(p[..., 0] - p[..., 2] > 60) & (p[..., 1] < 235) for p in pictures]
    rows = slice(345, 665)  # of the map by occlusion
    for mask, shift in zip(hot, (0.0, 10 * 0.8 / FIELD_MM * 300), strict=True):
        columns = np.flatnonzero(mask[rows, 8:308].any(axis=0))
        assert columns.mean() == pytest.approx(150 + shift, abs=4)
    outline = (np.abs(pictures[0] - [26, 230, 26]).max(axis=2) < 6)[:320]
    assert outline.any() and not (np.abs(pictures[0] - [26, 230, 26]).max(axis=2) < 6)[330:].any()


def test_a_map_without_anything_for_it_says_so(tiny: Explainer) -> None:
    from dataclasses import replace

    scan = small_scan()
    finding = pictured(scan, (20, 24, 25))
    explanation = tiny.explain(scan, finding.center_lps, lung_mask=None)
    nothing = scan.with_voxels(np.full(scan.shape, -1.0, dtype=np.float32))
    picture = opened(overlay_picture(replace(explanation, occlusion=nothing), scan, finding))
    assert not ((picture[..., 0] - picture[..., 2])[345:665] > 60).any()


def test_feature_maps_stand_upright_whatever_the_scans_axes(tiny: Explainer) -> None:
    """The same patient scanned with rows and columns the other way round."""
    scan = small_scan()
    scan = scan.with_voxels(ndimage.gaussian_filter(scan.voxels.astype(np.float32), 4.0) * 20 + 16000 - 500)
    matrix = scan.ijk_to_lps.copy()
    matrix[:3, 3] = scan.index_to_lps((0, scan.shape[1] - 1, scan.shape[2] - 1))
    matrix[:3, :2] *= -1
    turned = Volume(np.ascontiguousarray(scan.voxels[:, ::-1, ::-1]), matrix)
    place = scan.index_to_lps((16, 20, 20))
    given = []
    for volume in (scan, turned):
        sheet = opened(feature_maps_sheet(tiny.explain(volume, place, lung_mask=None)))
        given.append(sheet[26:218, 8:200, 0].astype(float))
    # The grids begin at opposite corners, so that the patches differ by a part of a voxel.
    assert np.corrcoef(given[0].ravel(), given[1].ravel())[0, 1] > 0.9
    assert np.corrcoef(given[0].ravel(), given[1][::-1, ::-1].ravel())[0, 1] < 0.5


def test_the_animation_walks_from_the_feet_to_the_head_with_the_outline() -> None:
    scan = small_scan()
    finding = pictured(scan, (20, 24, 25))
    numbers = film_slices(scan, finding)
    assert numbers == sorted(numbers) and numbers[0] <= 17 - 6 and numbers[-1] >= 23 + 6
    film = Image.open(io.BytesIO(slices_film(scan, finding)))
    frames = [np.asarray(frame.convert("RGB")).astype(int) for frame in ImageSequence.Iterator(film)]
    assert len(frames) == len(numbers) and frames[0].shape == (FRAME_PX, FRAME_PX, 3)
    assert film.info["loop"] == 0
    outlined = [n for n, frame in zip(numbers, frames, strict=True) if near(frame, (26, 230, 26)).sum() > 20]
    assert outlined == list(range(17, 24)), "the outline is where the mask is, and nowhere else"


def near(picture: np.ndarray, color: tuple[int, int, int]) -> np.ndarray:
    return np.asarray(np.abs(picture - color).max(axis=2) < 12)


def test_a_scan_from_head_to_feet_is_walked_the_other_way() -> None:
    scan = small_scan()
    matrix = scan.ijk_to_lps.copy()
    matrix[:3, 2] *= -1
    turned = Volume(scan.voxels, matrix)
    numbers = film_slices(turned, pictured(turned, (20, 24, 25)))
    assert numbers == sorted(numbers, reverse=True)


def test_a_long_nodule_in_thin_slices_has_no_endless_animation() -> None:
    scan = Volume.from_geometry(np.zeros((400, 8, 8), dtype=np.int16), spacing_kji_mm=(0.25, 5, 5))
    assert len(film_slices(scan, pictured(scan, (200, 4, 4), half=2))) <= 60


def test_a_finding_without_outline_is_pictured_all_the_same(tiny: Explainer) -> None:
    scan = small_scan()
    finding = Pictured("N1", (20.0, 20.0, 20.0), GREEN)
    assert slices_film(scan, finding)
    assert overlay_picture(tiny.explain(scan, finding.center_lps, lung_mask=None), scan, finding)


def test_colours_run_from_red_to_yellow() -> None:
    np.testing.assert_allclose(heat_colors([0.0, 0.5, 1.0, 7.0]), [(1, 0, 0), (1, 0.5, 0), (1, 1, 0), (1, 1, 0)])
    assert 0 < visible_from(2.0) < 1


def test_patches_are_typed_for_the_network() -> None:
    patch = CandidatePatch(noise(8), Volume(np.zeros((8, 8, 8)), np.eye(4)))
    assert as_batch(patch.values[::-1], "cpu").shape == (1, 1, 8, 8, 8)
