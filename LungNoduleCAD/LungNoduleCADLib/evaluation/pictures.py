"""Pictures of patches: three planes, a walk through the slices, a grid of examples, feature maps (A20-A24)."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .feature_maps import FeatureMaps
from .samples import OUTCOMES, Outcome, Sample

if TYPE_CHECKING:
    from PIL import Image

PANEL_PX = 256
TILE_PX = 176
FRAME_PX = 128
FRAME_LEVELS = 64
MAP_PX = 112
GAP_PX = 6
LINE_PX = 20
FRAME_MS = 100
"""Ten slices a second, as the document's; 64 shades of grey, which look like 256 and take half the bytes."""

GROUND, TEXT, FAINT = (16, 18, 22), (232, 234, 238), (150, 156, 166)
COLORS: dict[Outcome, tuple[int, int, int]] = {
    "true_positive": (51, 204, 89),
    "true_negative": (110, 160, 230),
    "false_positive": (235, 56, 51),
    "false_negative": (255, 153, 26),
}
"""The colours that these have everywhere; what is rightly left alone, blue."""


def planes_picture(sample: Sample, threshold: float) -> bytes:
    """Axial, coronal and sagittal plane through the middle of a patch, under its truth, score and class (A22); PNG."""
    middle = [n // 2 for n in sample.patch.shape]
    planes = {
        "Axial": sample.patch[middle[0]],
        "Coronal": sample.patch[::-1, middle[1]],  # the head at the top
        "Sagittal": sample.patch[::-1, :, middle[2]],
    }
    top = GAP_PX + 3 * LINE_PX
    page, draw = _page(3 * (PANEL_PX + GAP_PX) + GAP_PX, top + PANEL_PX + GAP_PX)
    _write(draw, GAP_PX, 4, OUTCOMES[sample.outcome].capitalize(), COLORS[sample.outcome], 16)
    _write(draw, GAP_PX, 4 + LINE_PX, f"{_truth(sample)}; {_judgement(sample, threshold)}", TEXT, 13)
    _write(draw, GAP_PX, 4 + 2 * LINE_PX, sample.case[:110], FAINT, 12)
    for n, (name, plane) in enumerate(planes.items()):
        left = GAP_PX + n * (PANEL_PX + GAP_PX)
        page.paste(_grey(plane, PANEL_PX), (left, top))
        _write(draw, left + 5, top + 4, name, TEXT, 12, GROUND)
    return _png(page)


def animation(sample: Sample) -> bytes:
    """A walk through the axial slices of a patch from the feet to the head, endless (A21); GIF."""
    from PIL import ImageDraw

    step = 256 // FRAME_LEVELS
    frames = []
    for number, plane in enumerate(sample.patch, start=1):
        frame = _grey(plane, FRAME_PX).point(lambda value: value // step * step)
        label = f"Slice {number}/{len(sample.patch)}"
        ImageDraw.Draw(frame).text((4, 3), label, fill=235, font=_font(11), stroke_width=2, stroke_fill=16)
        frames.append(frame)
    return film(frames)


def film(frames: Sequence[Image.Image]) -> bytes:
    """Pictures one after the other, endless; GIF."""
    stream = io.BytesIO()
    frames[0].save(stream, "GIF", save_all=True, append_images=frames[1:], duration=FRAME_MS, loop=0)
    return stream.getvalue()


def summary_grid(samples: Mapping[Outcome, Sequence[Sample]], columns: int) -> bytes:
    """The middle slices of examples, a row for each outcome (A23); PNG."""
    label = 128
    row = TILE_PX + LINE_PX + GAP_PX
    page, draw = _page(label + columns * (TILE_PX + GAP_PX), GAP_PX + len(samples) * row)
    for n, (outcome, examples) in enumerate(samples.items()):
        top = GAP_PX + n * row
        _write(draw, GAP_PX, top + TILE_PX // 2 - 8, OUTCOMES[outcome].capitalize(), COLORS[outcome], 15)
        for column in range(columns):
            left = label + column * (TILE_PX + GAP_PX)
            if column < len(examples):
                _tile(page, draw, examples[column], left, top)
            else:
                draw.rectangle((left, top, left + TILE_PX - 1, top + TILE_PX - 1), outline=(48, 52, 60))
                _write(draw, left + TILE_PX // 2 - 14, top + TILE_PX // 2 - 8, "none", FAINT, 12)
    return _png(page)


def slices_grid(samples: Sequence[Sample], columns: int = 5) -> bytes:
    """The middle slices of samples in rows (A20); PNG."""
    used = min(columns, len(samples))
    rows = -(-len(samples) // columns)
    row = TILE_PX + LINE_PX + GAP_PX
    page, draw = _page(GAP_PX + used * (TILE_PX + GAP_PX), GAP_PX + rows * row)
    for n, sample in enumerate(samples):
        _tile(page, draw, sample, GAP_PX + n % columns * (TILE_PX + GAP_PX), GAP_PX + n // columns * row)
    return _png(page)


def feature_map_picture(maps: FeatureMaps, columns: int = 8) -> bytes:
    """The channels of a layer side by side, each between its own least and greatest value (A24); PNG."""
    from matplotlib import colormaps
    from PIL import Image

    used = min(columns, len(maps.maps))
    rows = -(-len(maps.maps) // columns)
    page, _ = _page(GAP_PX + used * (MAP_PX + GAP_PX), GAP_PX + rows * (MAP_PX + GAP_PX))
    for n, values in enumerate(maps.maps):
        low, high = float(values.min()), float(values.max())
        scaled = (values - low) / (high - low) if high > low else np.zeros_like(values)
        colored = Image.fromarray((colormaps["viridis"](scaled)[..., :3] * 255).round().astype(np.uint8))
        place = GAP_PX + n % columns * (MAP_PX + GAP_PX), GAP_PX + n // columns * (MAP_PX + GAP_PX)
        page.paste(colored.resize((MAP_PX, MAP_PX), Image.Resampling.NEAREST), place)
    return _png(page)


def _tile(page: Image.Image, draw: Any, sample: Sample, left: int, top: int) -> None:
    page.paste(_grey(sample.patch[len(sample.patch) // 2], TILE_PX), (left, top))
    draw.rectangle((left, top, left + TILE_PX - 1, top + TILE_PX - 1), outline=COLORS[sample.outcome], width=2)
    score = "no mark" if sample.score is None else f"score {sample.score:.3g}"
    _write(draw, left + 2, top + TILE_PX + 2, score, TEXT, 12)


def _truth(sample: Sample) -> str:
    return "Nodule" if sample.is_nodule else "No nodule"


def _judgement(sample: Sample, threshold: float) -> str:
    if sample.score is None:
        return "no mark, so called no nodule"
    called = "nodule" if sample.called_nodule else "no nodule"
    return f"score {sample.score:.3f}, threshold {threshold:.3g}: called {called}"


def _page(width: int, height: int) -> tuple[Image.Image, Any]:
    from PIL import Image, ImageDraw

    page = Image.new("RGB", (width, height), GROUND)
    return page, ImageDraw.Draw(page)


def _grey(plane: NDArray[np.float32], size_px: int) -> Image.Image:
    from PIL import Image

    picture = Image.fromarray(np.rint(np.clip(plane, 0, 1) * 255).astype(np.uint8))
    return picture.resize((size_px, size_px), Image.Resampling.BICUBIC)


def _write(
    draw: Any,
    x: int,
    y: int,
    text: str,
    color: tuple[int, int, int],
    size: int,
    halo: tuple[int, int, int] | None = None,
) -> None:
    draw.text((x, y), text, fill=color, font=_font(size), stroke_width=0 if halo is None else 2, stroke_fill=halo)


def _font(size: int) -> Any:
    """Pillow's own scalable font: the same on every machine."""
    from PIL import ImageFont

    return ImageFont.load_default(size)


def _png(page: Image.Image) -> bytes:
    stream = io.BytesIO()
    page.save(stream, "PNG")
    return stream.getvalue()
