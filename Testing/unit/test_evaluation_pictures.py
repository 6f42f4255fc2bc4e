"""Figures, examples and feature maps: what they show, and that the same input gives the same bytes."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from evaluation_inputs import random_set, small_set
from numpy.typing import NDArray
from PIL import Image, ImageSequence
from torch import nn

from LungNoduleCADLib.app.scan_patches import ScanPatches, patch_at, scans_in
from LungNoduleCADLib.errors import InputError
from LungNoduleCADLib.evaluation import figures
from LungNoduleCADLib.evaluation.auc import Estimate
from LungNoduleCADLib.evaluation.classification import Confusion
from LungNoduleCADLib.evaluation.data_set import Place
from LungNoduleCADLib.evaluation.feature_maps import FeatureMaps, feature_maps
from LungNoduleCADLib.evaluation.pictures import (
    FRAME_PX,
    GAP_PX,
    LINE_PX,
    PANEL_PX,
    animation,
    feature_map_picture,
    planes_picture,
    slices_grid,
    summary_grid,
)
from LungNoduleCADLib.evaluation.samples import Outcome, Sample, choose_samples
from LungNoduleCADLib.evaluation.study import evaluate_sets
from LungNoduleCADLib.networks.hybrid import HybridClassifier, HybridConfig
from LungNoduleCADLib.preprocess.settings import Preprocessing
from LungNoduleCADLib.volume import Volume

Patch = NDArray[np.float32]


def opened(content: bytes) -> Image.Image:
    return Image.open(io.BytesIO(content))


def pixels(content: bytes) -> NDArray[np.uint8]:
    return np.asarray(opened(content).convert("RGB"))


def patch(value: float = 0.3) -> Patch:
    return np.full((64, 64, 64), value, dtype=np.float32)


def sample(outcome: Outcome = "true_positive", score: float | None = 0.8, image: Patch | None = None) -> Sample:
    return Sample(outcome, "1.2.3", score, patch() if image is None else image)


# -- figures ----------------------------------------------------------------------------------------------------------
def figure_makers() -> dict[str, Callable[[], bytes]]:
    (result,) = evaluate_sets([random_set(1)], bootstrap=20).sets
    c, m = result.candidates, result.malignancy
    assert c is not None and c.calibration is not None and m is not None
    calibration = c.calibration
    return {
        "froc": lambda: figures.froc_figure(result.froc),
        "roc": lambda: figures.roc_figure(c, ("Diameter alone", m.diameter)),
        "precision_recall": lambda: figures.precision_recall_figure(c),
        "confusion": lambda: figures.confusion_figure(c.confusion, "nodule", "no nodule"),
        "calibration": lambda: figures.calibration_figure(calibration),
        "comparison": lambda: figures.comparison_figure([("a", [c.auc]), ("b", [None])], ["AUC"]),
        "missed": lambda: figures.missed_figure(result.missed, 0.5),
        "history": lambda: figures.history_figure({"step": [1, 2, 3], "loss": [3, 2, 1.5], "auc": [0, 1, 1]}, "step"),
    }


@pytest.mark.parametrize("name", list(figure_makers()))
def test_a_figure_is_a_picture_and_the_same_each_time(name: str) -> None:
    first, again = figure_makers()[name](), figure_makers()[name]()
    assert first == again
    shown = pixels(first)
    assert min(shown.shape[:2]) > 300 and len(np.unique(shown.reshape(-1, 3), axis=0)) > 20


def test_other_figures_give_other_pictures() -> None:
    confusions = [figures.confusion_figure(Confusion(5, n, 2, 9), "nodule", "none") for n in (1, 4)]
    assert confusions[0] != confusions[1]
    bars = [figures.comparison_figure([("a", [Estimate(v, v - 0.1, v)])], ["AUC"]) for v in (0.5, 0.9)]
    colored = [(np.abs(pixels(b).astype(int) - (10, 108, 116)).max(axis=2) < 8).sum() for b in bars]
    assert colored[1] / colored[0] == pytest.approx(0.9 / 0.5, rel=0.1)  # a bar's height is its figure


def test_figures_take_what_is_extreme() -> None:
    (result,) = evaluate_sets([small_set()], bootstrap=0).sets
    figures.froc_figure(result.froc)
    figures.missed_figure(evaluate_sets([small_set()], threshold=2.0, bootstrap=0).sets[0].missed, 2.0)
    figures.confusion_figure(Confusion(0, 0, 0, 0), "nodule", "none")
    without_mark = evaluate_sets([small_set()], threshold=-1.0, bootstrap=0).sets[0].missed
    for threshold in (0.5, 0.0, -1.0):  # the column of those without a mark is as wide as any
        shown = pixels(figures.missed_figure(without_mark, threshold)).astype(int)
        assert (np.abs(shown - (181, 84, 42)).max(axis=2) < 8).sum() > 4000
    assert figures.missed_figure([], 0.5)


# -- examples ---------------------------------------------------------------------------------------------------------
def everything(case: str, place: Place | None) -> Patch:
    return patch()


def test_samples_are_filed_by_what_the_threshold_makes_of_them() -> None:
    chosen = choose_samples(small_set(), 0.5, everything, each=5)
    scores = {outcome: [s.score for s in found] for outcome, found in chosen.items()}
    assert sorted(scores.pop("true_positive")) == [0.5, 0.7, 0.9]  # at the threshold is found
    assert sorted(scores.pop("true_negative")) == [0.1, 0.4, 0.4]
    assert scores == {"false_positive": [0.8], "false_negative": [None, 0.3]}  # the worst first
    assert all(s.is_nodule == (o in ("true_positive", "false_negative")) for o, f in chosen.items() for s in f)
    assert all(s.called_nodule == o.endswith("_positive") for o, f in chosen.items() for s in f)


def test_right_ones_are_drawn_by_the_seed_and_worst_ones_are_not() -> None:
    def drawn(seed: int) -> dict[Outcome, list[float | None]]:
        return {o: [s.score for s in f] for o, f in choose_samples(random_set(3), 0.5, everything, 4, seed).items()}

    first, again, other = drawn(1), drawn(1), drawn(2)
    assert first == again and first["true_positive"] != other["true_positive"]
    assert first["false_positive"] == other["false_positive"] == sorted(first["false_positive"], reverse=True)


def test_samples_without_images_are_passed_over() -> None:
    asked: list[str] = []

    def only_b(case: str, place: Place | None) -> Patch | None:
        asked.append(case)
        return patch() if case == "b" else None

    chosen = choose_samples(small_set(), 0.5, only_b, each=1)
    assert {s.case for found in chosen.values() for s in found} == {"b"}
    assert chosen["false_positive"] == [] and "a" in asked


# -- pictures ---------------------------------------------------------------------------------------------------------
def test_three_planes_go_through_the_middle_with_the_head_at_the_top() -> None:
    image = patch(0.0)
    image[48, 32, 32] = 1.0  # 16 mm towards the head
    shown = pixels(planes_picture(sample(image=image), 0.5))[GAP_PX + 3 * LINE_PX :].astype(int).sum(axis=2)
    mm = PANEL_PX / 64
    for n, expected in ((1, (15.5 * mm, 32.5 * mm)), (2, (15.5 * mm, 32.5 * mm))):
        left = GAP_PX + n * (PANEL_PX + GAP_PX)
        panel = shown[:PANEL_PX, left : left + PANEL_PX].copy()
        panel[:24] = 0  # the plane's name
        row, column = np.unravel_index(panel.argmax(), panel.shape)
        assert (row, column) == pytest.approx(expected, abs=mm)
    assert shown[30:PANEL_PX, GAP_PX : GAP_PX + PANEL_PX].max() == 0  # not in the axial plane


def test_pictures_differ_by_outcome_and_score() -> None:
    made = {planes_picture(sample(o, s), 0.5) for o, s in (("true_positive", 0.8), ("false_negative", 0.2))}
    made |= {planes_picture(sample("false_negative", None), 0.5), planes_picture(sample("false_positive", 0.8), 0.5)}
    assert len(made) == 4


def test_an_animation_walks_through_every_slice_from_the_feet() -> None:
    image = np.linspace(0, 1, 64, dtype=np.float32)[:, None, None] * np.ones((64, 64, 64), dtype=np.float32)
    film = opened(animation(sample(image=image)))
    frames = [np.asarray(frame.convert("L")) for frame in ImageSequence.Iterator(film)]
    assert len(frames) == 64 and film.info["loop"] == 0 and film.info["duration"] == 100
    middles = [int(frame[FRAME_PX // 2, FRAME_PX // 2]) for frame in frames]
    assert middles == sorted(middles) and middles[0] == 0 and middles[-1] > 245
    assert frames[0].shape == (FRAME_PX, FRAME_PX)


def test_a_grid_has_a_row_for_each_outcome_and_says_where_there_is_none() -> None:
    some: dict[Outcome, list[Sample]] = {"true_positive": [sample()], "false_negative": []}
    one_row = opened(summary_grid({"true_positive": [sample()]}, 5))
    two_rows = opened(summary_grid(some, 5))
    assert two_rows.height == 2 * one_row.height - GAP_PX and two_rows.width == one_row.width
    assert summary_grid(some, 5) != summary_grid({**some, "false_negative": [sample("false_negative")]}, 5)
    wide, narrow = (opened(slices_grid([sample()] * n)).size for n in (7, 2))
    assert wide[0] > narrow[0] and wide[1] > 1.9 * narrow[1]


# -- feature maps -----------------------------------------------------------------------------------------------------
def tiny() -> HybridClassifier:
    torch.manual_seed(0)
    return HybridClassifier(HybridConfig(patch_size=64, base_channels=4, heads=2)).eval()


def test_maps_of_every_convolution_that_keeps_a_picture() -> None:
    network, image = tiny(), np.random.default_rng(0).random((64, 64, 64), dtype=np.float32)
    found = feature_maps(network, image)
    spatial = [
        n for n, m in network.named_modules() if isinstance(m, nn.Conv3d) and not n.endswith(("squeeze", "excite"))
    ]
    assert [m.layer for m in found] == spatial
    assert all(len(m.maps) == min(m.channels, 16) for m in found) and found[-1].channels == 32
    with torch.inference_mode():
        expected = network.stem[0](torch.from_numpy(image)[None, None])[0, :, 32].numpy()
    np.testing.assert_allclose(found[0].maps, expected, atol=1e-6)


def test_a_network_gets_as_much_of_the_middle_as_it_takes() -> None:
    torch.manual_seed(0)
    network = HybridClassifier(HybridConfig(patch_size=48, base_channels=4, heads=2, readout="centered")).eval()
    image = np.random.default_rng(0).random((64, 64, 64), dtype=np.float32)
    found, expected = (feature_maps(network, seen)[0].maps for seen in (image, image[8:56, 8:56, 8:56].copy()))
    np.testing.assert_array_equal(found, expected)


def test_looking_leaves_the_network_as_it_was() -> None:
    network, image = tiny(), patch()
    before = network(torch.from_numpy(image)[None, None])
    feature_maps(network, image)
    assert not any(m._forward_hooks for m in network.modules())
    torch.testing.assert_close(network(torch.from_numpy(image)[None, None]), before)
    with pytest.raises(RuntimeError):
        feature_maps(network, np.zeros((2, 2, 2), dtype=np.float32))  # vanishes on the way
    assert not any(m._forward_hooks for m in network.modules())


def test_a_channel_without_any_difference_is_drawn_too() -> None:
    maps = np.stack([np.zeros((4, 4)), np.arange(16.0).reshape(4, 4)]).astype(np.float32)
    flat, slope = (pixels(feature_map_picture(FeatureMaps("x", 2, m[None]))) for m in maps)
    assert len(np.unique(flat.reshape(-1, 3), axis=0)) == 2  # the channel and the ground
    assert len(np.unique(slope.reshape(-1, 3), axis=0)) == 17


# -- patches of scans -------------------------------------------------------------------------------------------------
SETTINGS = Preprocessing(patch_size=64)


def scan_with_a_point(direction: NDArray[np.float64]) -> tuple[Volume, Place]:
    """A scan of 2 x 1 x 1 mm voxels with a bright place 10 mm to the left of, 6 mm behind and 8 mm above a position."""
    voxels = np.full((60, 110, 120), -1000, dtype=np.int16)
    volume = Volume.from_geometry(voxels, spacing_kji_mm=(2, 1, 1), origin_lps=(5, -7, 11), direction=direction)
    middle = volume.index_to_lps((30, 55, 60))
    k, j, i = np.rint(volume.lps_to_index(np.add(middle, (10, 6, 8)))).astype(int)
    voxels[k - 1 : k + 2, j - 1 : j + 2, i - 1 : i + 2] = 400
    return volume, (float(middle[0]), float(middle[1]), float(middle[2]))


@pytest.mark.parametrize(
    "direction",
    [np.eye(3), np.diag([-1.0, -1.0, 1.0]), np.diag([1.0, 1.0, -1.0]), np.eye(3)[:, [1, 0, 2]]],
    ids=["straight", "turned", "upside down", "rows and columns exchanged"],
)
def test_a_patch_is_upright_whatever_the_scans_axes(direction: NDArray[np.float64]) -> None:
    volume, place = scan_with_a_point(direction)
    found = patch_at(volume, place, SETTINGS)
    assert found.shape == (64, 64, 64) and found.min() >= 0 and found.max() <= 1
    center = np.argwhere(found > 0.5).mean(axis=0)
    assert center == pytest.approx((32 + 8, 32 + 6, 32 + 10), abs=1.6)


def test_at_the_scans_border_the_middle_stays_the_middle_and_air_is_beyond() -> None:
    voxels = np.full((40, 90, 90), 40, dtype=np.int16)
    voxels[2, 45, 45] = -1000
    volume = Volume.from_geometry(voxels, spacing_kji_mm=(1, 1, 1))
    found = patch_at(volume, (45.0, 45.0, 2.0), SETTINGS)
    assert (found[:30] == 0).all() and (found[30:, 0, 0] > 0.7).all()
    inside = found[30:]
    assert np.unravel_index(inside.argmin(), inside.shape) == (2, 32, 32)


def test_scans_are_found_by_their_uid_in_any_subfolder(tmp_path: Path) -> None:
    volume, place = scan_with_a_point(np.eye(3))
    image = sitk.GetImageFromArray(volume.voxels)
    image.SetSpacing((1, 1, 2))
    image.SetOrigin((5, -7, 11))
    (tmp_path / "subset0").mkdir()
    sitk.WriteImage(image, str(tmp_path / "subset0" / "1.2.3.mhd"))
    source = ScanPatches(scans_in(tmp_path, ["9.9", "1.2.3"]), SETTINGS)
    found = source("1.2.3", place)
    assert found is not None
    np.testing.assert_array_equal(found, patch_at(volume, place, SETTINGS))
    assert source("9.9", place) is None and source("1.2.3", None) is None
    assert source("1.2.3", (0.0, 0.0, 9999.0)) is None  # beyond the scan
    with pytest.raises(InputError, match=r"none of the 2 scans, such as 7\.mhd"):
        scans_in(tmp_path, ["7", "8"])
    with pytest.raises(InputError, match="does not exist"):
        scans_in(tmp_path / "nowhere", [])
