"""Can simulated nodules be told from real ones? Judges try, patient by patient.

    python -m training.realism --data ../shared/data --cache cache --simulator full --json full.json

`twin`: into the surroundings of a real nodule a simulated one of like size is put beside it. One patch is cut round the
real nodule where it lies, one round the simulated: both show both, the same scan, the same lung, and the same parts of
the patch are empty. `pasted`: for larger nodules, beside which there is no room, a real nodule is cut out and pasted
into another lung, and a simulated one, rendered with blur and noise of the real one's scan, is cut out and pasted in
the same place by the same code.

Patches are 32 mm at 1 mm in the lung window. An AUC of 0.5 means that the judges cannot tell. Whether they are any good
is seen by simulators they must not and must be fooled by: `spheres` inserts uniform balls with hard edges (an AUC near
1), `real` calls other patients' real nodules of like size simulated (near 0.5). `plain` measures the simulator's smooth
bodies pasted as they are, without the scan's blur and noise.
"""

from __future__ import annotations

import argparse
import itertools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from .boxes import load_boxes, load_cubes
from .judged_pairs import SIMULATORS, Judged, Maker, pasted, real_pairs, twins
from .judges import JUDGES, auc_by_patient, give_aways, out_of_fold
from .sampler import load_lungs
from .splits import BACKGROUND_SCANS, fold_of

SIZES_MM = (3.0, 5.0, 6.5, 9.0, 14.0, 60.0)
MOST_IMPORTANT = 15


def judge_all(pairs: list[tuple[Judged, Judged]], seed: int, judges: Sequence[str] = tuple(JUDGES)) -> dict[str, Any]:
    """Each judge's AUC and that of all together, in all, by what is simulated and by size; and what gave it away.

    :param judges: names of those to ask.
    """
    cases = [case for pair in pairs for case in pair]
    patches = np.stack([case.patch for case in cases])
    simulated = np.array([case.simulated for case in cases])
    patients = np.array([case.patient for case in cases])
    folds = np.array([fold_of(case.patient) for case in cases])
    result: dict[str, Any] = {"pairs": len(pairs), "patients": len(np.unique(patients))}
    judged = {name: out_of_fold(JUDGES[name], patches, simulated, folds, seed) for name in judges}
    if len(judged) > 1:
        judged["together"] = np.mean(list(judged.values()), axis=0)
    # Against the real nodules of the same scans, which differ in nothing else on average.
    kinds = {kind: np.repeat([kind in made.about for _, made in pairs], 2) for kind in _kinds(pairs)}
    diameters = np.repeat([real.diameter_mm for real, _ in pairs], 2)
    for low, high in itertools.pairwise(SIZES_MM):
        kinds[f"{low:g}-{high:g} mm"] = (diameters >= low) & (diameters < high)
    for name, probability in judged.items():
        result[name] = {"all": auc_by_patient(probability, simulated, patients, seed)}
        for kind, of_kind in kinds.items():
            if of_kind.any():
                result[name][f"{kind} ({int(of_kind.sum() // 2)})"] = auc_by_patient(
                    probability[of_kind], simulated[of_kind], patients[of_kind], seed
                )
    result["give-aways"] = give_aways(patches, simulated, folds, seed)[:MOST_IMPORTANT]
    return result


def _kinds(pairs: list[tuple[Judged, Judged]]) -> list[str]:
    return sorted({kind for _, made in pairs for kind in made.about})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--cache", type=Path, required=True, help="as training.prepare fills it")
    parser.add_argument("--simulator", choices=SIMULATORS, default="full")
    parser.add_argument("--comparison", choices=("twin", "pasted"), default="twin")
    parser.add_argument("--judges", nargs="+", choices=sorted(JUDGES), default=list(JUDGES))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="where to write the result")
    parser.add_argument("--patches", type=Path, help="where to keep the patches, to look at them")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    maker = Maker(arguments.simulator, arguments.cache)
    boxes = load_boxes(arguments.cache / "boxes.npz")
    if arguments.comparison == "twin":
        boxes = load_cubes(arguments.data / "lidc-nodules") + boxes
        pairs = list(twins(boxes, maker, arguments.seed))
    else:
        lungs = load_lungs(arguments.cache)[: len(BACKGROUND_SCANS)]
        pairs = list(pasted(boxes, lungs, maker, arguments.seed))
    if arguments.simulator == "real":
        pairs = real_pairs(pairs, arguments.seed)
    if arguments.patches:
        np.savez_compressed(
            arguments.patches,
            patches=np.stack([[case.patch for case in pair] for pair in pairs]),
            patient=np.array([pair[0].patient for pair in pairs]),
            about=np.array([" ".join(pair[1].about) for pair in pairs]),
            diameter_mm=np.array([[case.diameter_mm for case in pair] for pair in pairs]),
        )
    result = {"simulator": arguments.simulator, "comparison": arguments.comparison, "seed": arguments.seed}
    result |= judge_all(pairs, arguments.seed, arguments.judges)
    print(json.dumps(result, indent=2))
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
