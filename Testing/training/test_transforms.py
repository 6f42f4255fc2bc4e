"""Transforms: each does what it says, the same every time, and takes the mask along."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image as Picture
from torch import Tensor

from training import contact_sheet
from training.transforms.medmix import medmix
from training.transforms.orientation import Orientation, draw_orientation
from training.transforms.scanner import (
    ScannerNoise,
    SharpKernel,
    SoftKernel,
    ThickSlices,
    Tone,
    draw_noise,
    draw_scanner,
)
from training.transforms.volume import (
    GAMMA,
    MOST_DEGREES,
    MOST_VOXELS,
    Gamma,
    Identity,
    Mirror,
    Noise,
    Resample,
    Shift,
    draw_a8,
    draw_b5,
)


def volume(seed: int = 0, shape: tuple[int, int, int] = (12, 20, 24)) -> Tensor:
    return torch.from_numpy(np.random.default_rng(seed).random(shape, dtype=np.float32))


def blob(center: tuple[int, int, int], shape: tuple[int, int, int] = (24, 24, 24), radius: float = 4) -> Tensor:
    axes = np.indices(shape) - np.array(center).reshape(3, 1, 1, 1)
    return torch.from_numpy((axes**2).sum(0) < radius**2)


def levels(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(20, 200, (15, 24, 24)).astype(np.float32)


@pytest.mark.parametrize("draw", [draw_a8, draw_b5])
def test_what_was_drawn_can_be_replayed(draw) -> None:
    for seed in range(20):
        one, same, other = (draw(np.random.default_rng(n)) for n in (seed, seed, seed + 1000))
        image = volume()
        before = image.clone()
        assert torch.equal(one(image), same(image)) and torch.equal(one(image), one(image))
        assert torch.equal(image, before), "the sample itself stays as it was"
        assert one == same and one != other


def test_a_scanner_can_be_replayed_and_the_draw_does_not_depend_on_the_image() -> None:
    for seed in range(20):
        rng, twin = np.random.default_rng(seed), np.random.default_rng(seed)
        scanner, same = draw_scanner(rng, (15, 24, 24), 1.0), draw_scanner(twin, (15, 24, 24), 1.0)
        assert (scanner(levels(1)) == same(levels(1))).all()
        assert rng.random() == twin.random()


def test_a8_draws_one_to_three_of_the_documents_six_within_their_limits() -> None:
    rng = np.random.default_rng(0)
    drawn = [draw_a8(rng).steps for _ in range(400)]
    assert {len(steps) for steps in drawn} == {1, 2, 3}
    kinds = [type(step) for steps in drawn for step in steps]
    assert set(kinds) == {Resample, Mirror, Shift, Noise, Gamma, Identity}
    assert all(len(set(map(type, steps))) == len(steps) for steps in drawn)
    for step in (step for steps in drawn for step in steps):
        if isinstance(step, Resample):
            assert abs(step.degrees) <= MOST_DEGREES and step.zoom == 1
        elif isinstance(step, Shift):
            assert max(map(abs, step.voxels)) <= MOST_VOXELS
        elif isinstance(step, Gamma):
            assert GAMMA[0] <= step.exponent <= GAMMA[1]
        elif isinstance(step, Noise):
            assert step.sd == 0.02
    axes = {step.axis for steps in drawn for step in steps if isinstance(step, Mirror)}
    assert axes == {0, 1, 2}


def test_everything_stays_between_0_and_1() -> None:
    rng = np.random.default_rng(1)
    for draw in (draw_a8, draw_b5):
        for _ in range(30):
            out = draw(rng)(volume())
            assert out.min() >= 0 and out.max() <= 1 and out.shape == (12, 20, 24)


def test_every_sample_of_a_batch_is_drawn_for_itself() -> None:
    rng = np.random.default_rng(2)
    turned = {draw_b5(rng) for _ in range(16)}
    assert len(turned) == 16


@pytest.mark.parametrize(
    ("transform", "start", "end"),
    [
        (Mirror(0), (8, 12, 12), (15, 12, 12)),
        (Mirror(2), (12, 12, 8), (12, 12, 15)),
        (Shift((3, -2, 5)), (12, 12, 12), (15, 10, 17)),
        (Resample(degrees=90.0), (12, 6, 11), (12, 12, 6)),
        (Resample(zoom=1.5), (12, 12, 16), (12, 12, 18)),
    ],
)
def test_image_and_mask_go_the_same_way(transform, start, end) -> None:
    mask = blob(start, radius=3.2)
    image, moved = transform(mask.float()), transform.of_mask(mask)
    assert moved.dtype == torch.bool
    for found in (moved, image > 0.5):
        center = np.argwhere(found.numpy()).mean(axis=0)
        assert np.linalg.norm(center - end) < 0.8, center


def test_a_turn_of_a_quarter_is_exact_and_a_turn_back_undoes_it_within_the_slice() -> None:
    image = volume(shape=(5, 16, 16))
    quarter = Resample(degrees=90.0)(image)
    assert torch.allclose(quarter, image.rot90(-1, (1, 2)), atol=1e-4) or torch.allclose(
        quarter, image.rot90(1, (1, 2)), atol=1e-4
    )
    assert torch.allclose(Resample(degrees=-90.0)(quarter), image, atol=1e-4)
    assert torch.allclose(Resample()(image), image, atol=1e-5)


def test_a_turn_keeps_shapes_that_are_wider_than_high() -> None:
    """The turn is by angle and not by the image's proportions."""
    mask = blob((3, 15, 30), (7, 30, 60), radius=2.5)
    turned = Resample(degrees=20.0).of_mask(mask)
    assert turned.sum() == pytest.approx(int(mask.sum()), rel=0.15)
    off_center = blob((3, 15, 45), (7, 30, 60), radius=2.5)
    center = np.argwhere(Resample(degrees=20.0).of_mask(off_center).numpy()).mean(axis=0)
    assert np.hypot(center[1] - 14.5, center[2] - 29.5) == pytest.approx(np.hypot(0.5, 15.5), abs=0.7)


def test_a_shift_repeats_the_border_of_an_image_and_empties_a_masks() -> None:
    image = volume()
    moved = Shift((0, 4, 0))(image)
    assert torch.equal(moved[:, 4:], image[:, :-4]) and torch.equal(moved[:, 0], image[:, 0])
    full = torch.ones(image.shape, dtype=torch.bool)
    assert not Shift((0, 4, 0)).of_mask(full)[:, :4].any() and Shift((0, 4, 0)).of_mask(full)[:, 4:].all()


def test_noise_and_gamma_are_as_strong_as_they_say() -> None:
    even = torch.full((32, 32, 32), 0.5)
    assert (Noise(0.02, 1)(even) - even).std().item() == pytest.approx(0.02, rel=0.02)
    assert Gamma(0.8)(even)[0, 0, 0].item() == pytest.approx(0.5**0.8)
    assert Identity()(even) is even


def test_medmix_keeps_the_nodule_and_halves_the_rest_with_the_other_sample() -> None:
    mask = blob((12, 12, 12)).numpy()
    image, other = np.full(mask.shape, 200, np.uint8), np.full(mask.shape, 100, np.uint8)
    mixed = medmix(mask, other)(image)
    assert (mixed[mask] == 200).all()
    assert (mixed[:4] == 150).all()
    border = mixed[12, 12]
    assert (np.diff(border[:12].astype(int)) >= 0).all(), "no edge shows"


def test_a_nodule_mixed_with_itself_would_not_change() -> None:
    """Document A mixes a patch with a copy of itself; its own copy is why nothing was learnt from it."""
    mask, image = blob((12, 12, 12)).numpy(), np.random.default_rng(0).integers(0, 255, (24, 24, 24)).astype(np.uint8)
    assert (medmix(mask, image)(image) == image).all()
    assert (medmix(mask, 255 - image)(image) != image).mean() > 0.5


def test_the_sixteen_orientations_are_all_drawn_and_differ() -> None:
    image = np.arange(3 * 4 * 4).reshape(3, 4, 4)
    rng = np.random.default_rng(0)
    drawn = {draw_orientation(rng) for _ in range(300)}
    assert len(drawn) == 16
    assert len({orientation(image).tobytes() for orientation in drawn}) == 16
    assert (Orientation((False, False, False), False)(image) == image).all()


def test_each_scanner_does_its_own() -> None:
    image = levels()
    spread = image.std(axis=0).mean()
    assert ThickSlices(3.0, 0.25)(image).std(axis=0).mean() < 0.7 * spread
    assert SoftKernel((1.0, 1.0))(image).std() < 0.6 * image.std() < image.std() < SharpKernel(1.0)(image).std()
    noise = draw_noise(np.random.default_rng(0), image.shape)
    assert isinstance(noise, ScannerNoise) and (noise(image) - image == pytest.approx(noise.field, abs=1e-3))
    assert Tone(1.0, 1.05, 6)(image) == pytest.approx(image * 1.05 + 6, rel=1e-4)
    for transform in (ThickSlices(3.0, 0.25), SoftKernel((1.0, 1.0)), noise):
        assert transform.of_mask(image) is image


def test_a_contact_sheet_shows_every_transform(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image = levels().repeat(5, 0).repeat(3, 1).repeat(3, 2)[:64, :64, :64].astype(np.uint8)
    mask = blob((32, 32, 32), (64, 64, 64), 6).numpy()
    monkeypatch.setattr(contact_sheet, "sample", lambda seed: (image, mask, image[::-1].copy()))
    rows = contact_sheet.rows_of(image, mask, image[::-1], seed=0)
    for name, (_, transforms) in rows.items():
        for transform in transforms:
            changed, moved = contact_sheet.applied(transform, image, mask)
            assert changed.shape == moved.shape == image.shape and changed.dtype == np.uint8
            gentle = ("identity", "random", "gamma")
            assert name.split()[0].startswith(gentle) or "random" in name or (changed != image).any(), name
    assert contact_sheet.main(["--output", str(tmp_path / "sheet.png")]) == 0
    with Picture.open(tmp_path / "sheet.png") as sheet:
        assert sheet.width > 1000 and len(np.unique(np.asarray(sheet))) > 50
