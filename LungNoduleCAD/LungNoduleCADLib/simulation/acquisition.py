"""What the scanner adds: in-plane blur, slice profile, and noise with a CT's spectrum."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import fft


@dataclass(frozen=True)
class Kernel:
    """A reconstruction kernel.

    :param mtf50_per_mm: spatial frequency at which the modulation transfer function falls to one half.
    :param steepness: exponent of the fall-off, MTF(f) = exp(-ln 2 (f / mtf50)^steepness); 2 is a Gaussian blur.
    :param boost: edge enhancement, the MTF is multiplied by 1 + boost (f / mtf50)^2 exp(-(f / mtf50)^2).
    """

    mtf50_per_mm: float
    steepness: float = 2.0
    boost: float = 0.0

    def mtf(self, frequency_per_mm: NDArray[np.floating]) -> NDArray[np.float32]:
        """Modulation transfer at radial frequencies, 1 at zero."""
        f = np.asarray(frequency_per_mm, dtype=np.float64) / self.mtf50_per_mm
        enhancement = 1 + self.boost * f**2 * np.exp(-(f**2))
        return (np.exp(-np.log(2) * f**self.steepness) * enhancement).astype(np.float32)

    def noise_amplitude(self, frequency_per_mm: NDArray[np.floating]) -> NDArray[np.float32]:
        """Square root of the noise power spectrum, up to a factor.

        Filtered back-projection of white projection noise gives NPS(f) proportional to f MTF(f)^2: the ramp times the
        kernel's apodisation (Riederer et al., Phys Med Biol 1978; Kijewski and Judy 1987). A small floor at low
        frequencies stands for electronic noise and interpolation.
        """
        f = np.asarray(frequency_per_mm, dtype=np.float64)
        return (np.sqrt(f + 0.02) * self.mtf(f)).astype(np.float32)


KERNELS = {
    "soft": Kernel(mtf50_per_mm=0.36, steepness=2.2),
    "standard": Kernel(mtf50_per_mm=0.54, steepness=3.0, boost=0.4),
    "sharp": Kernel(mtf50_per_mm=0.65, steepness=3.0, boost=0.9),
}
"""Soft tissue, thorax and lung kernels. 'standard' has the noise spectrum measured on a B45f thorax scan, whose peak is
at 0.38 per mm and which falls to one eighth at 0.68 per mm; the other two lie to either side."""


def acquire(
    tissue_hu: NDArray[np.float32],
    *,
    spacing_kji_mm: NDArray[np.float64],
    slices_per_output: int,
    thickness_mm: float,
    kernel: Kernel,
    noise_hu: float,
    rng: np.random.Generator,
) -> NDArray[np.int16]:
    """Scan a tissue volume: slice profile, in-plane blur, noise, rounding to whole HU, and air as the floor at -1024.

    :param tissue_hu: (k * slices_per_output, j, i); its axial spacing is `spacing_kji_mm[0] / slices_per_output`.
    :param spacing_kji_mm: of the resulting CT.
    :param thickness_mm: full width at half maximum of the Gaussian slice profile.
    :param noise_hu: standard deviation of the noise, HU; stationary within a slice, independent between slices but for
        the overlap of their profiles.
    :return: int16 (k, j, i).
    """
    count = tissue_hu.shape[0] // slices_per_output
    rows, columns = tissue_hu.shape[1:]
    frequency = np.hypot(
        fft.fftfreq(rows, spacing_kji_mm[1])[:, None], fft.rfftfreq(columns, spacing_kji_mm[2])[None, :]
    )
    transfer, noise_shape = kernel.mtf(frequency), kernel.noise_amplitude(frequency)
    # Half of the plane is stored: inner columns stand for two frequencies each.
    weight = np.full(frequency.shape, 2.0)
    weight[:, 0] = 1
    if columns % 2 == 0:
        weight[:, -1] = 1
    power = float(np.sum(weight * noise_shape.astype(np.float64) ** 2))
    noise_shape *= np.float32(noise_hu * rows * columns / np.sqrt(2 * power))

    profile = _slice_profile(thickness_mm, spacing_kji_mm[0] / slices_per_output, slices_per_output)
    overlap = _noise_overlap(thickness_mm, float(spacing_kji_mm[0]))
    scan = np.empty((count, rows, columns), dtype=np.int16)
    earlier = _white(rng, frequency.shape)
    for k in range(count):
        fresh = _white(rng, frequency.shape)
        noise = np.sqrt(np.float32(1 - overlap**2)) * fresh + np.float32(overlap) * earlier
        earlier = noise
        image = _profiled_slice(tissue_hu, k * slices_per_output, profile)
        spectrum = fft.rfft2(image) * transfer + noise * noise_shape
        blurred = fft.irfft2(spectrum, s=(rows, columns))
        np.clip(np.rint(blurred), -1024, 3071, out=blurred)
        scan[k] = blurred
    return scan


def _white(rng: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.complex64]:
    parts = rng.standard_normal((*shape, 2), dtype=np.float32)
    return parts.view(np.complex64)[..., 0]


def _slice_profile(thickness_mm: float, step_mm: float, slices_per_output: int) -> dict[int, np.float32]:
    """Weights of tissue slices by their number from the output slice's first one."""
    centre = (slices_per_output - 1) / 2
    reach = int(np.ceil(1.3 * thickness_mm / step_mm))
    numbers = np.arange(-reach, slices_per_output + reach)
    weights = np.exp(-4 * np.log(2) * ((numbers - centre) * step_mm / thickness_mm) ** 2)
    weights /= weights.sum()
    return {int(n): np.float32(w) for n, w in zip(numbers, weights, strict=True) if w > 1e-3}


def _profiled_slice(tissue_hu: NDArray[np.float32], first: int, profile: dict[int, np.float32]) -> NDArray[np.float32]:
    image = np.zeros(tissue_hu.shape[1:], dtype=np.float32)
    for number, weight in profile.items():
        image += weight * tissue_hu[min(max(first + number, 0), len(tissue_hu) - 1)]
    return image / np.float32(sum(profile.values()))


def _noise_overlap(thickness_mm: float, spacing_mm: float) -> float:
    """Correlation of neighbouring slices' noise: two Gaussian profiles `spacing_mm` apart."""
    return float(np.exp(-2 * np.log(2) * (spacing_mm / thickness_mm) ** 2))
