"""Wavelet enhancement against PyWavelets, slice by slice, as the recipe defines it (A5)."""

from __future__ import annotations

import numpy as np
import pytest
import pywt
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from LungNoduleCADLib.preprocess.wavelet import ACCELERATOR_SLICES, CPU_SLICES, wavelet_enhance

TOLERANCE = 1e-4
DEVICES = ["cpu"] + (["cuda"] if torch.cuda.is_available() else [])

# Small slices are shorter than the filter, where PyWavelets warns that the border is all there is.
pytestmark = pytest.mark.filterwarnings("ignore:Level value of")


def reference(
    image: NDArray[np.float32], factor: float = 1.0, wavelet: str = "db4", level: int = 2
) -> NDArray[np.float64]:
    """One slice through PyWavelets in double precision, on the fixed scale."""
    approximation, *details = pywt.wavedec2(image.astype(np.float64), wavelet, mode="symmetric", level=level)
    shrunk = [tuple(pywt.threshold(band, factor * band.std(), mode="soft") for band in bands) for bands in details]
    rebuilt = pywt.waverec2([approximation, *shrunk], wavelet, mode="symmetric")
    return np.clip(rebuilt[: image.shape[0], : image.shape[1]], 0, 1)


def ct_like_slices(shape: tuple[int, int, int], seed: int) -> NDArray[np.float32]:
    """Soft blobs with edges and noise, in [0, 1]: bands of very different strength."""
    rng = np.random.default_rng(seed)
    n, h, w = shape
    y, x = np.mgrid[:h, :w]
    image = 0.3 + 0.2 * np.sin(y / 9.0) * np.cos(x / 13.0) + 0.4 * ((y - h / 2) ** 2 + (x - w / 3) ** 2 < (h / 4) ** 2)
    noise = rng.normal(0, rng.uniform(0.01, 0.1, (n, 1, 1)), shape)
    return np.clip(image + noise, 0, 1).astype(np.float32)


def worst_difference(slices: NDArray[np.float32], device: str = "cpu", **settings: object) -> float:
    ours = wavelet_enhance(torch.from_numpy(slices).to(device), **settings).cpu().numpy()  # type: ignore[arg-type]
    return float(np.abs(ours - np.stack([reference(s, **settings) for s in slices])).max())  # type: ignore[arg-type]


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(
    "size",
    [
        (1, 1),
        (2, 5),
        (7, 8),
        (8, 7),
        (15, 16),
        (31, 64),
        (64, 64),
        (65, 63),
        (51, 51),
        (129, 200),
        (355, 354),
        (512, 97),
    ],
)
def test_equals_pywavelets_for_odd_and_even_sizes(size: tuple[int, int], device: str) -> None:
    assert worst_difference(ct_like_slices((3, *size), seed=sum(size)), device) < TOLERANCE


@settings(max_examples=30, deadline=None, derandomize=True)
@given(h=st.integers(1, 90), w=st.integers(1, 90), factor=st.floats(0.1, 3), seed=st.integers(0, 99))
def test_equals_pywavelets_for_any_size_and_factor(h: int, w: int, factor: float, seed: int) -> None:
    assert worst_difference(ct_like_slices((1, h, w), seed), factor=factor) < TOLERANCE


@pytest.mark.parametrize("wavelet", ["haar", "db2", "sym5", "bior2.2"])
@pytest.mark.parametrize("level", [1, 2, 3])
def test_equals_pywavelets_for_other_wavelets_and_levels(wavelet: str, level: int) -> None:
    assert worst_difference(ct_like_slices((2, 67, 82), seed=1), wavelet=wavelet, level=level) < TOLERANCE


def test_each_slice_is_enhanced_on_its_own_across_batch_borders() -> None:
    slices = ct_like_slices((max(CPU_SLICES, ACCELERATOR_SLICES) + 1, 40, 33), seed=2)
    whole = wavelet_enhance(torch.from_numpy(slices))
    for n in (0, CPU_SLICES - 1, CPU_SLICES, ACCELERATOR_SLICES):
        alone = wavelet_enhance(torch.from_numpy(slices[n : n + 1]))
        torch.testing.assert_close(whole[n : n + 1], alone, atol=1e-6, rtol=0)


def test_one_bright_slice_does_not_change_the_others() -> None:
    slices = torch.from_numpy(ct_like_slices((5, 48, 48), seed=3) * 0.5)
    with_metal = slices.clone()
    with_metal[4, 20:24, 20:24] = 1.0
    assert torch.equal(wavelet_enhance(slices)[:4], wavelet_enhance(with_metal)[:4])


def test_scale_is_fixed_so_that_a_flat_slice_keeps_its_value() -> None:
    slices = torch.full((1, 50, 61), 0.37)
    torch.testing.assert_close(wavelet_enhance(slices), slices, atol=1e-6, rtol=0)


def test_result_stays_in_the_unit_range_where_filters_ring() -> None:
    slices = torch.zeros(1, 64, 64)
    slices[:, 16:48, 16:48] = 1.0
    approximation, *details = pywt.wavedec2(slices[0].numpy(), "db4", level=2)
    blank = [tuple(np.zeros_like(band) for band in bands) for bands in details]
    assert pywt.waverec2([approximation, *blank], "db4").min() < -0.01
    enhanced = wavelet_enhance(slices, factor=100.0)
    assert float(enhanced.min()) == 0.0 and float(enhanced.max()) == 1.0


def test_noise_is_reduced_and_the_edge_kept() -> None:
    rng = np.random.default_rng(4)
    clean = np.zeros((1, 128, 128), dtype=np.float32) + 0.2
    clean[:, 40:90, 40:90] = 0.7
    noisy = np.clip(clean + rng.normal(0, 0.05, clean.shape), 0, 1).astype(np.float32)
    enhanced = wavelet_enhance(torch.from_numpy(noisy)).numpy()
    flat = (slice(None), slice(50, 80), slice(50, 80))
    assert enhanced[flat].std() < 0.6 * noisy[flat].std()
    assert enhanced[0, 50:80, 45].mean() - enhanced[0, 50:80, 35].mean() == pytest.approx(0.5, abs=0.03)


def test_factor_zero_changes_nothing() -> None:
    slices = torch.from_numpy(ct_like_slices((2, 30, 31), seed=5))
    assert torch.equal(wavelet_enhance(slices, factor=0.0), slices)


def test_input_is_left_alone_and_may_be_a_view() -> None:
    stack = torch.from_numpy(ct_like_slices((4, 60, 60), seed=6))
    before = stack.clone()
    view = stack[1:3, ::2, 5:50]
    torch.testing.assert_close(wavelet_enhance(view), wavelet_enhance(view.contiguous()), atol=1e-6, rtol=0)
    assert torch.equal(stack, before)


def test_same_input_gives_the_same_bits() -> None:
    slices = torch.from_numpy(ct_like_slices((20, 97, 75), seed=7))
    assert torch.equal(wavelet_enhance(slices), wavelet_enhance(slices))


def test_enclosing_autocast_and_matmul_settings_do_not_cost_precision() -> None:
    slices = ct_like_slices((2, 80, 80), seed=8)
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert worst_difference(slices) < TOLERANCE
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision(before)


@pytest.mark.parametrize("count", [0, 1])
def test_empty_and_single_stacks_keep_their_shape(count: int) -> None:
    assert wavelet_enhance(torch.zeros(count, 20, 21)).shape == (count, 20, 21)


@pytest.mark.parametrize(
    ("slices", "arguments", "words"),
    [
        (torch.zeros(4, 4), {}, "shape"),
        (torch.zeros(1, 4, 4), {"factor": -1.0}, "negative"),
        (torch.zeros(1, 4, 4), {"level": -1}, "negative"),
    ],
)
def test_refuses_impossible_arguments(slices: torch.Tensor, arguments: dict[str, float], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        wavelet_enhance(slices, **arguments)  # type: ignore[arg-type]
