"""The child process that explains, for the Slicer module: the real worker, its answers, its refusals, its end."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from result_inputs import index_of, make_volume
from test_cards import TINY_HYBRID, card_fields

from LungNoduleCADLib.app.explanation_job import SHARES, ExplanationJob, ExplanationRequest, check_weights
from LungNoduleCADLib.app.explanation_run import ExplanationRun
from LungNoduleCADLib.app.run import Outcome
from LungNoduleCADLib.errors import ModelError
from LungNoduleCADLib.explain.explainer import STAGES, Explainer
from LungNoduleCADLib.findings import VoxelMask
from LungNoduleCADLib.networks.hybrid import HybridClassifier
from LungNoduleCADLib.networks.weights import save_model
from LungNoduleCADLib.review.codec import encode_mask
from LungNoduleCADLib.volume import Volume

WAIT_S = 240.0
pytestmark = pytest.mark.usefixtures("temporary")


@pytest.fixture
def request_(tmp_path: Path) -> ExplanationRequest:
    """About the first ball of the scan, of a network that has learnt nothing."""
    torch.manual_seed(0)
    save_model(HybridClassifier(TINY_HYBRID), card_fields(patch_size=32), tmp_path / "weights")
    sha256 = json.loads((tmp_path / "weights" / "classification.json").read_text())["weights"]["sha256"]
    center = index_of((0.5, 0.45, 0.35)).astype(int)
    x, y, z = (float(v) for v in scan().index_to_lps(center))
    k, j, i = (int(c) - 2 for c in center)
    mask = encode_mask(VoxelMask((k, j, i), np.ones((5, 5, 5), dtype=bool)))
    model, settings = {"classification": {"sha256": sha256}}, {"lung_mask": "none"}
    return ExplanationRequest("N1", (x, y, z), (1.0, 0.8, 0.2), mask, model, settings, "cpu", str(tmp_path / "weights"))


def scan() -> Volume:
    return make_volume("oblique")


def wait_for_end(run: ExplanationRun) -> list[str]:
    """The stages that were reported."""
    end, stages = time.monotonic() + WAIT_S, list[str]()
    while run.outcome is None and time.monotonic() < end:
        stages.append(run.poll().stage)
        time.sleep(0.005)
    assert run.outcome is not None
    return list(dict.fromkeys(stages))


def test_the_worker_answers_as_the_library_does(request_: ExplanationRequest, temporary: Path) -> None:
    run = ExplanationRun(scan(), request_)
    run.start()
    wait_for_end(run)
    assert run.outcome is Outcome.FINISHED, run.error + run.details
    assert run.explanation is not None and list(temporary.iterdir()) == []
    explainer = Explainer.load(request_.weights, "cpu")
    expected = explainer.explain(scan(), request_.center_lps, lung_mask=None)
    for saved, computed in (
        (run.explanation.occlusion, expected.occlusion),
        (run.explanation.gradients, expected.gradients),
    ):
        assert saved.same_grid(computed)
        scale = float(np.abs(computed.voxels).max())
        np.testing.assert_allclose(saved.voxels, computed.voxels, atol=1e-3 * scale)
    assert run.explanation.facts["finding"] == "N1"
    assert run.explanation.pictures["slices.gif"].startswith(b"GIF89a")
    assert run.poll().fraction == pytest.approx(1.0)


def test_every_stage_has_its_share_of_the_bar() -> None:
    assert set(STAGES) < set(SHARES) and sum(SHARES.values()) == pytest.approx(1.0)
    assert [name for name in SHARES if name in STAGES] == list(STAGES)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            {"model": {"classification": {"name": "Else", "version": "9"}}},
            "other weights (Else 9); choose their folder",
        ),
        ({"model": {}}, "other weights (unknown)"),
        ({"center_lps": (0.0, 0.0, 9999.0)}, "outside the scan"),
        ({"weights": "/nowhere"}, "does not exist"),
        ({"device": "abacus"}, "Device 'abacus' is unknown"),
        ({"settings": {"lung_mask": "/nowhere/lungs.nrrd"}}, "no longer there"),
    ],
)
def test_what_cannot_be_is_one_sentence(
    request_: ExplanationRequest, temporary: Path, change: dict[str, object], said: str
) -> None:
    run = ExplanationRun(scan(), replace(request_, **change))  # type: ignore[arg-type]
    run.start()
    wait_for_end(run)
    assert run.outcome is Outcome.FAILED and said in run.error, run.error + run.details
    assert list(temporary.iterdir()) == [] and run.explanation is None


def test_cancel_ends_the_worker_and_its_files(request_: ExplanationRequest, temporary: Path) -> None:
    run = ExplanationRun(scan(), request_)
    run.start()
    end = time.monotonic() + WAIT_S
    while run.poll().stage in ("preparing", "starting") and run.outcome is None and time.monotonic() < end:
        time.sleep(0.005)
    run.cancel(wait=True)
    run.poll()
    assert run.outcome is Outcome.CANCELLED and list(temporary.iterdir()) == []


def test_a_job_is_read_as_it_was_written(request_: ExplanationRequest, tmp_path: Path) -> None:
    job = ExplanationJob("a.nrrd", "out", "CT of Mrs Smith", request_)
    job.write(tmp_path / "job.json")
    assert ExplanationJob.read(tmp_path / "job.json") == job


def test_the_right_weights_are_accepted() -> None:
    check_weights({"classification": {"sha256": "abc"}}, "abc", "do something")
    with pytest.raises(ModelError, match="do something"):
        check_weights({"classification": {"sha256": "abc"}}, "abd", "do something")
