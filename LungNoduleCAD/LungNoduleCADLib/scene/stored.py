"""A detection as a scene keeps it: the text of its record, which nothing that is done in the scene changes."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..findings import DetectionResult
from ..report.record import result_from_json
from ..review.codec import decode_mask

MASKS, GRID = "masks", "ijk_to_lps"
"""Keys of the candidates' outlines in the record, since the segments can be edited, and of the grid they are on, since
Slicer turns a left-handed volume's slices round when it loads a scene."""


@dataclass(frozen=True, eq=False)
class StoredDetection:
    """What the detector found.

    :param findings: the content of `findings.json`. :param result: the same, outlines included.
    :param ijk_to_lps: of the grid that the outlines are on: 4x4, index (i, j, k) to LPS mm.
    :param operating_table: what JSON holds of the card's table; None where there was none.
    """

    findings: dict[str, Any]
    result: DetectionResult
    ijk_to_lps: NDArray[np.float64]
    operating_table: Any = None


def stored_detection(text: str) -> StoredDetection:
    """A detection from its record's text.

    :raises InputError: when it is damaged or holds no outlines.
    """
    try:
        content = json.loads(text)
        findings = content["findings"]
        masks = {f"N{int(name)}": decode_mask(mask) for name, mask in content[MASKS].items()}
        if any(f"N{entry['id']}" not in masks for entry in findings["candidates"]):
            raise KeyError(MASKS)
        grid = np.array(content[GRID], dtype=np.float64).reshape(4, 4)
        return StoredDetection(findings, result_from_json(findings, masks), grid, content.get("operating_table"))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(
            f"The detection stored in this scene is damaged ({error!r}); run the detection again."
        ) from error
