"""The whole way once, with nothing doubled but the application: volume node, child process, networks, scene."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import pytest
import slicer
import torch
from host import load_module

from gui.module_inputs import MODULE_FILE, POINTS, chest_like
from LungNoduleCADLib.app.jobs import DetectionRequest
from LungNoduleCADLib.errors import LungNoduleCADError
from LungNoduleCADLib.networks.hybrid import HybridClassifier, HybridConfig
from LungNoduleCADLib.networks.unet import UNet25D, UNetConfig
from LungNoduleCADLib.networks.weights import save_model
from LungNoduleCADLib.scene import add_volume_node


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """Small networks that have learnt nothing: whatever they find, it must reach the table."""
    torch.manual_seed(0)
    preprocessing: dict[str, Any] = {
        "spacing_mm": 2.0,
        "resampling": {"order": 1, "antialias": True},
        "window_hu": [-1000, 400],
        "outside_lung": "keep",
        "wavelet": None,
    }
    fields = {
        "name": "untrained",
        "version": "0",
        "data": [{"name": "none", "citation": "none", "licence": "MIT"}],
        "metrics": {},
        "operating_table": POINTS,
        "default_threshold": 0.5,
        "calibration": {"method": "none"},
        "license": "MIT",
        "research_use": "For research only; not a medical device.",
    }
    folder = tmp_path / "weights"
    unet = UNetConfig(encoder_channels=(4, 6), decoder_channels=(4,), convolutions=(1, 1))
    hybrid = HybridConfig(patch_size=32, base_channels=4)
    save_model(UNet25D(unet), {**fields, "preprocessing": {**preprocessing, "slices": 7}}, folder)
    save_model(HybridClassifier(hybrid), {**fields, "preprocessing": {**preprocessing, "patch_size": 32}}, folder)
    return folder


def test_detection_runs_in_a_child_process_and_ends_in_the_scene(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    module = load_module(MODULE_FILE)
    logic = module.widget.logic
    node = add_volume_node(slicer.mrmlScene, chest_like(), "CT")
    try:
        request = DetectionRequest("cpu", str(weights), str(tmp_path / "reports"))
        nodes = logic.detect(node, request)
        rows = logic.candidates(nodes)
        assert nodes.candidates.GetNumberOfControlPoints() == len(rows)
        assert nodes.segmentation.GetSegmentation().GetNumberOfSegments() == len(rows)
        assert logic.operatingTable(nodes).default_threshold == 0.5
        assert (tmp_path / "reports" / "findings.json").is_file()
        assert os.listdir(temporary) == []
        (weights / "segmentation.safetensors").write_bytes(b"damaged")
        with pytest.raises(LungNoduleCADError, match="not the file their card describes"):
            logic.detect(node, request)
    finally:
        module.widget.cleanup()
        slicer.mrmlScene.Clear()


def test_the_modules_own_self_test_passes() -> None:
    """With the shipped weights. What it does is for Slicer to repeat on the user's machine."""
    module = load_module(MODULE_FILE)
    test = module.python.LungNoduleCADTest()
    names = [name for name in dir(test) if name.startswith("test_")]
    said: list[str] = []
    test.delayDisplay = said.append
    test.runTest()
    assert sorted(said) == [f"{name}: passed" for name in sorted(names)]
    assert len(names) >= 5
    module.close()
    slicer.mrmlScene.Clear()
