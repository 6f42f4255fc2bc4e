"""One rule for CT numbers: whatever the source stores, the library sees HU from -1024 up, int16 where it fits."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

AIR_HU = -1024
"""Lowest value handed on. Scanners mark pixels outside the field of view with -2000 or -3024, and some store noise in
air far below -1000; neither is a density. -1024 is what a 12-bit CT (intercept -1024) stores as its lowest value, so
every scan then looks as those do, and real noise in air between -1024 and -1000 stays as it is."""

HIGHEST_HU = 32767
"""Largest int16; extended-scale CT reaches 30,710 HU in metal."""


def as_hounsfield(values: NDArray[Any]) -> NDArray[Any]:
    """Make padding air and choose the smallest sound type.

    :param values: HU in any real type and shape.
    :returns: int16 when every value is a whole number, else float32; not below `AIR_HU`. NaN stays NaN, so that
        `check_quality` can refuse it. May be the same array, changed in place, when it is int16 or float32 and
        writable.
    """
    if values.dtype.kind == "f" and not _is_integral(values):
        result = values.astype(np.float32, copy=not values.flags.writeable)
        return np.maximum(result, np.float32(AIR_HU), out=result)
    if values.dtype == np.int16:
        result = values if values.flags.writeable else values.copy()
        return np.maximum(result, np.int16(AIR_HU), out=result)
    return np.clip(values, AIR_HU, HIGHEST_HU).astype(np.int16)


def _is_integral(values: NDArray[Any]) -> bool:
    """Whether all values are whole numbers; NaN and infinity are not."""
    sample = values.reshape(-1)[:4096]
    if not np.array_equal(sample, np.rint(sample)):
        return False
    return bool(np.array_equal(values, np.rint(values)) and np.isfinite(values).all())
