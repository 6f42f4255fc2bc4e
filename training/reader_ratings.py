"""How often LIDC's readers saw what, by size: where the simulator's shares come from.

    python -m training.reader_ratings --data ../shared/data

The majority ratings of LUNA16's nodules in `lidc-nodules/crops.csv`. Calcification 6 is none; texture and margin 5 are
solid and sharp; lobulation and spiculation 1 are none.
"""

from __future__ import annotations

import argparse
import csv
import itertools
from collections.abc import Sequence
from pathlib import Path

import numpy as np

SIZES_MM = (3, 6, 8, 12, 18, 40)
RATINGS = ("spiculation", "lobulation", "margin", "texture", "sphericity", "calcification")


def shares(rows: Sequence[dict[str, str]]) -> list[dict[str, float | str]]:
    """One row a size and a rating: nodules, median diameter, and the share of each value."""
    found: list[dict[str, float | str]] = []
    for low, high in itertools.pairwise(SIZES_MM):
        of_size = [row for row in rows if low <= float(row["diameter_mm"]) < high]
        for rating in RATINGS:
            values = np.array([float(row[rating]) for row in of_size if row[rating]])
            if not len(values):
                continue
            middle = float(np.median([float(row["diameter_mm"]) for row in of_size]))
            counted = {f"rated {n}": float((np.rint(values) == n).mean()) for n in range(1, 7)}
            found.append(
                {"size": f"{low}-{high} mm", "rating": rating, "nodules": len(values), "median mm": middle, **counted}
            )
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    with (parser.parse_args().data / "lidc-nodules" / "crops.csv").open() as file:
        table = shares(list(csv.DictReader(file)))
    print(*table[0], sep="\t")
    for row in table:
        print(*[f"{value:.2f}" if isinstance(value, float) else value for value in row.values()], sep="\t")


if __name__ == "__main__":
    main()
