"""Colours that mean something: a candidate's status against a reference, or its score."""

from __future__ import annotations

Color = tuple[float, float, float]

STATUS_COLORS: dict[str, Color] = {
    "TP": (0.20, 0.80, 0.35),
    "FP": (0.92, 0.22, 0.20),
    "FN": (1.00, 0.60, 0.10),
    "ignored": (0.62, 0.62, 0.66),
}
"""Green found, red false, orange missed; grey where the reference neither asks for a mark nor forbids it."""

SCORE_RAMP: tuple[Color, ...] = ((0.30, 0.42, 0.95), (0.88, 0.36, 0.75), (1.00, 0.90, 0.25))
"""Score 0, 0.5 and 1: blue, magenta, yellow. Lightness rises all the way, so that it reads without colour vision; no
step is close to a status colour."""

ACCEPTED_COLOR: Color = (0.25, 0.90, 0.95)
REJECTED_COLOR: Color = (0.50, 0.50, 0.54)
"""Of findings that a reader has judged, where there is no reference: cyan, far from the ramp and the status colours,
and a grey that steps back."""


def score_color(score: float) -> Color:
    """RGB in 0-1 for a score in 0-1 (values beyond are clipped)."""
    # Without numpy, whose interpolation of a single number takes 0.1 ms: hundreds of candidates are coloured at once.
    position = min(max(score, 0.0), 1.0) * (len(SCORE_RAMP) - 1)
    step = min(int(position), len(SCORE_RAMP) - 2)
    share = position - step
    red, green, blue = (a + share * (b - a) for a, b in zip(SCORE_RAMP[step], SCORE_RAMP[step + 1], strict=True))
    return red, green, blue


def candidate_color(score: float, status: str | None) -> Color:
    """The status colour where there is a status, else the colour of the score."""
    return score_color(score) if status is None else STATUS_COLORS[status]
