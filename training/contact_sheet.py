"""A picture of what each transform does to a nodule, from its weakest to its strongest, and of what is drawn at random.

    python -m training.contact_sheet --output sheet.png [--seed 7]

The chest is simulated. The outline is the nodule's mask, which goes along.
"""

from __future__ import annotations

import argparse
import io
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from LungNoduleCADLib.errors import LungNoduleCADError
from LungNoduleCADLib.io import write_bytes
from LungNoduleCADLib.preprocess.prepare import prepare_lung
from LungNoduleCADLib.simulation import make_phantom

from .sampler import cut
from .transforms.base import Transform
from .transforms.medmix import medmix
from .transforms.orientation import Orientation
from .transforms.scanner import ScannerNoise, SharpKernel, SoftKernel, ThickSlices, Tone, draw_noise, draw_scanner
from .transforms.volume import Gamma, Identity, Mirror, Noise, Resample, Shift, draw_a8, draw_b5

EDGE, COLUMNS = 64, 6
AXIAL, CORONAL = 0, 1
DIAMETER_MM = (8.0, 16.0)
LATEST_SEED = 20
TURNS = ((True, False, False), (False, True, False), (True, True, False), (False, False, True), (True, False, True))
Image = NDArray[np.uint8]
Mask = NDArray[np.bool_]


def rows_of(image: Image, mask: Mask, other: Image, seed: int) -> dict[str, tuple[int, list[Transform]]]:
    """The plane that shows a row's effect best, and its transforms."""
    rng = np.random.default_rng(seed)
    noise = draw_noise(rng, image.shape).field / 10
    mixed: list[Transform] = [medmix(mask, cut(other, np.array([0, shift, 0]), other.shape)) for shift in (0, 8, 16)]
    return {
        "thick slices": (CORONAL, [ThickSlices(mm, 0.25) for mm in (1.5, 2.0, 2.5, 3.0)]),
        "soft kernel": (AXIAL, [SoftKernel((sd, sd)) for sd in (0.3, 0.5, 0.7, 0.9, 1.1)]),
        "sharp kernel": (AXIAL, [SharpKernel(amount) for amount in (0.3, 0.5, 0.75, 1.0, 1.2)]),
        "scanner noise": (AXIAL, [ScannerNoise(noise * n / noise.std()) for n in (2, 4, 8, 12, 20)]),
        "tone": (AXIAL, [Tone(0.8, 1, 0), Tone(1.2, 1, 0), Tone(1, 0.95, -6), Tone(1, 1.05, 6)]),
        "mirror and quarter turn": (
            AXIAL,
            [Orientation((False, a, b), c) for a, b, c in TURNS],
        ),
        "turn (A8)": (AXIAL, [Resample(degrees) for degrees in (-20.0, -10.0, 5.0, 10.0, 20.0)]),
        "mirror (A8)": (CORONAL, [Mirror(axis) for axis in range(3)]),
        "shift (A8)": (AXIAL, [Shift((0, j, i)) for j, i in ((5, 0), (-5, 0), (0, 5), (0, -5), (5, 5))]),
        "noise (A8)": (AXIAL, [Noise(0.02, n) for n in range(3)]),
        "gamma (A8)": (AXIAL, [Gamma(exponent) for exponent in (0.8, 0.9, 1.0, 1.1, 1.2)]),
        "identity (A8)": (AXIAL, [Identity()]),
        "scale (B5)": (AXIAL, [Resample(zoom=zoom) for zoom in (0.9, 0.95, 1.05, 1.1)]),
        "MedMix (A9)": (AXIAL, mixed),
        "a random scanner": (AXIAL, [draw_scanner(rng, image.shape, 1.0) for _ in range(5)]),
        "a random A8": (AXIAL, [draw_a8(rng) for _ in range(5)]),
        "a random B5": (AXIAL, [draw_b5(rng) for _ in range(5)]),
    }


def applied(transform: Transform, image: Image, mask: Mask) -> tuple[Image, Mask]:
    """Any transform, whatever kind of image it takes."""
    steps = getattr(transform, "steps", (transform,))
    if any(type(step).__module__.endswith(".volume") for step in steps):
        moved = transform(torch.from_numpy(image).float() / 255)
        return (moved * 255).round().to(torch.uint8).numpy(), transform.of_mask(torch.from_numpy(mask)).numpy()
    exact = type(transform).__module__.endswith((".medmix", ".orientation"))
    changed = transform(image if exact else image.astype(np.float32))
    return np.clip(changed, 0, 255).astype(np.uint8), transform.of_mask(mask)


def sample(seed: int) -> tuple[Image, Mask, Image]:
    """A simulated nodule in the middle of 64 mm, its mask, and another place of the same lung.

    The first seed from the given one whose chest has a nodule of a size that is well seen.
    """
    for tried in range(seed, seed + LATEST_SEED):
        phantom = make_phantom(tried, 3)
        prepared = prepare_lung(phantom.volume, phantom.lung_mask.voxels)
        image = (prepared.image * 255).round().to(torch.uint8).numpy()
        for nodule in phantom.nodules:
            diameter = nodule.diameter_mm or 0.0
            if not DIAMETER_MM[0] <= diameter <= DIAMETER_MM[1]:
                continue
            center = np.rint(prepared.grid.lps_to_index(nodule.center_lps)).astype(int)
            first = center - EDGE // 2
            axes = np.indices((EDGE,) * 3) - EDGE // 2
            mask = np.sqrt((axes**2).sum(0)) < diameter / 2
            away = np.where(np.arange(3) == 0, first + EDGE // 2, first)
            return cut(image, first, (EDGE,) * 3), mask, cut(image, away, (EDGE,) * 3)
    raise LungNoduleCADError(f"No chest from seed {seed} on has a nodule to show; take another seed.")


def draw_sheet(image: Image, mask: Mask, other: Image, seed: int) -> Figure:
    """One row a transform, the sample as it was at its left."""
    rows = rows_of(image, mask, other, seed)
    figure = Figure(figsize=(2 * COLUMNS, 2.5 * len(rows)))
    axes = figure.subplots(
        len(rows),
        COLUMNS,
        gridspec_kw={"left": 0.01, "right": 0.99, "bottom": 0.005, "top": 0.985, "hspace": 0.3, "wspace": 0.05},
    )
    for (name, (plane, transforms)), line in zip(rows.items(), axes, strict=True):
        shown = [(f"{name}: as it was", image, mask)]
        shown += [(_settings(transform), *applied(transform, image, mask)) for transform in transforms]
        for place in line:
            place.set_axis_off()
        for (title, picture, outline), place in zip(shown, line, strict=False):
            middle = EDGE // 2
            place.imshow(np.take(picture, middle, plane), cmap="gray", vmin=0, vmax=255, interpolation="nearest")
            flat = np.take(outline, middle, plane)
            if flat.any():
                place.contour(flat, [0.5], colors="orange", linewidths=0.8)
            place.set_title(title, fontsize=6)
        line[0].title.set_fontweight("bold")
    return figure


def _settings(transform: Any) -> str:
    """A transform's settings, as far as they are numbers."""
    steps = getattr(transform, "steps", None)
    if steps is not None:
        return "\n".join(_settings(step) for step in steps) or "nothing"
    values = []
    for name, value in vars(transform).items():
        if isinstance(value, np.ndarray):
            continue
        numbers = [f"{each:.3g}" for each in np.ravel(np.array(value, dtype=float))]
        values.append(f"{name} {', '.join(numbers)}")
    return f"{type(transform).__name__} {' '.join(values)}".strip()


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True, metavar="FILE", help="a .png file")
    parser.add_argument("--seed", type=int, default=7)
    arguments = parser.parse_args(argv)
    try:
        figure = draw_sheet(*sample(arguments.seed), arguments.seed)
        canvas = FigureCanvasAgg(figure)
        figure.set_dpi(110)
        canvas.draw()
        write_bytes(arguments.output, _png(canvas))
    except LungNoduleCADError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def _png(canvas: FigureCanvasAgg) -> bytes:
    packed = io.BytesIO()
    canvas.print_png(packed)
    return packed.getvalue()


if __name__ == "__main__":
    sys.exit(main())
