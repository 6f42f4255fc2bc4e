"""The second look at proposals, from the side."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from LungNoduleCADLib.detection.side_views import LOOK, WINDOW, side_peaks


class Brightness(nn.Module):
    """Takes for a nodule what is bright in the middle slice and dark beside it in its own plane: long things are not
    round."""

    def forward(self, stack: Tensor) -> Tensor:
        middle = stack[:, stack.shape[1] // 2 : stack.shape[1] // 2 + 1]
        wide = nn.functional.max_pool2d(1 - middle, 9, stride=1, padding=4)
        along = nn.functional.avg_pool2d(middle, (1, 15), stride=1, padding=(0, 7))
        across = nn.functional.avg_pool2d(middle, (15, 1), stride=1, padding=(7, 0))
        long = torch.maximum(along, across)
        return 20 * (middle - 0.5) - 30 * (long - 0.6).clamp(min=0) + 0 * wide


def scene() -> Tensor:
    """A ball at (30, 40, 50) and a tube along k through (., 40, 20)."""
    k, j, i = np.ogrid[:60, :80, :70]
    ball = (k - 30) ** 2 + (j - 40) ** 2 + (i - 50) ** 2 <= 16
    tube = ((j - 40) ** 2 + (i - 20) ** 2 <= 16) & (k >= 0)
    return torch.from_numpy((ball | tube).astype(np.float32))


def test_a_tube_looks_less_round_from_the_side_than_a_ball() -> None:
    ball, tube = side_peaks(Brightness(), scene(), [(30, 40, 50), (30, 40, 20)])
    assert ball > 0.9 > 0.5 > tube


@pytest.mark.parametrize("along", [1, 2])
def test_a_tube_that_is_round_in_one_side_view_is_judged_by_the_other(along: int) -> None:
    tube = torch.zeros(60, 70, 70)
    first = [slice(26, 35), slice(31, 40), slice(31, 40)]
    first[along] = slice(None)
    tube[tuple(first)] = 1
    (peak,) = side_peaks(Brightness(), tube, [(30, 35, 35)])
    assert peak < 0.5


def test_the_batch_does_not_change_the_answer() -> None:
    points = [(30.2, 40.4, 50.1), (30, 40, 20), (5, 5, 5), (0, 0, 0), (59, 79, 69)]
    expected = side_peaks(Brightness(), scene(), points, batch=8)
    assert side_peaks(Brightness(), scene(), points, batch=2) == pytest.approx(expected)
    assert len(expected) == 5 and ((expected >= 0) & (expected <= 1)).all()


def test_both_planes_are_seen_and_neither_is_the_axial_one() -> None:
    """A network that answers with its window's shape and the volume's own indices."""
    seen: list[tuple[int, ...]] = []
    volume = torch.arange(40, dtype=torch.float32)[:, None, None].expand(40, 60, 60).contiguous()

    class Recorder(nn.Module):
        def forward(self, stack: Tensor) -> Tensor:
            seen.append(tuple(stack.shape))
            rows = stack[0, 0, :, 0]
            assert (rows.diff() >= 0).all() and rows.max() > rows.min()  # k runs down each window
            assert (stack[0, 0] == stack[0, -1]).all()  # and not across the channels
            return stack[:, :1] * 0

    side_peaks(Recorder(), volume, [(20, 30, 30)])
    assert seen == [(LOOK, 7, WINDOW, WINDOW)] * 2


def test_nothing_in_nothing_out_and_a_stop_stops() -> None:
    assert len(side_peaks(Brightness(), scene(), [])) == 0

    def stop(fraction: float) -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        side_peaks(Brightness(), scene(), [(1, 1, 1)], progress=stop)
