"""Model cards and weights: what is saved comes back, and everything that does not fit is refused in one sentence."""

from __future__ import annotations

import copy
import hashlib
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import FrozenInstanceError
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import nn

from LungNoduleCADLib.errors import ModelError
from LungNoduleCADLib.networks import registry
from LungNoduleCADLib.networks.cards import Calibration, ModelCard, load_card
from LungNoduleCADLib.networks.hybrid import HybridClassifier, HybridConfig
from LungNoduleCADLib.networks.unet import UNet25D, UNetConfig
from LungNoduleCADLib.networks.weights import load_model, save_model
from LungNoduleCADLib.preprocess.settings import Preprocessing, Wavelet
from LungNoduleCADLib.resources import resource_path

TINY_UNET = UNetConfig(encoder_channels=(4, 6), decoder_channels=(4,), convolutions=(1, 1))
TINY_HYBRID = HybridConfig(patch_size=32, base_channels=4)


def card_fields(**preprocessing: Any) -> dict[str, Any]:
    """What training knows about a segmentation network; the size entry of another task is given by the caller."""
    return {
        "name": "test network",
        "version": "1.0",
        "preprocessing": {
            "spacing_mm": 1.0,
            "resampling": {"order": 3, "antialias": True},
            "window_hu": [-1000, 400],
            "outside_lung": "keep",
            "wavelet": None,
            **(preprocessing or {"slices": 7}),
        },
        "data": [{"name": "phantoms", "citation": "this project", "licence": "MIT"}],
        "metrics": {"dice": 0.5},
        "operating_table": [{"threshold": 0.5, "sensitivity": 0.9, "fp_per_scan": 1.5, "bands": {"4-6 mm": 0.8}}],
        "default_threshold": 0.5,
        "calibration": {
            "method": "platt",
            "slope": 0.8,
            "plane_slope": 0.3,
            "intercept": -0.1,
        },
        "license": "MIT",
        "research_use": "For research only; not a medical device.",
    }


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """A folder with a small segmentation network."""
    torch.manual_seed(0)
    save_model(UNet25D(TINY_UNET), card_fields(), tmp_path)
    return tmp_path


def edit_card(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    path = folder / "segmentation.json"
    card = json.loads(path.read_text())
    change(card)
    path.write_text(json.dumps(card))


def replace_weights(folder: Path, content: bytes) -> None:
    """Other weights under the same name, with the card's hash brought up to date: only the content can be at fault."""
    (folder / "segmentation.safetensors").write_bytes(content)
    edit_card(folder, lambda card: card["weights"].update(sha256=hashlib.sha256(content).hexdigest()))


def refusal(folder: Path) -> str:
    with pytest.raises(ModelError) as caught:
        load_model(folder, "segmentation")
    message = str(caught.value)
    assert str(folder) in message and "\n" not in message
    assert message.endswith(".") and message.count(". ") == 0
    return message


@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize(
    ("network", "size", "shape"),
    [
        (UNet25D(TINY_UNET), {"slices": 7}, (1, 7, 20, 22)),
        (HybridClassifier(TINY_HYBRID), {"patch_size": 32}, (2, 1, 32, 32, 32)),
    ],
    ids=["segmentation", "classification"],
)
def test_saved_network_comes_back_with_its_card(
    network: nn.Module, size: dict[str, int], shape: tuple[int, ...], half: bool, tmp_path: Path
) -> None:
    written = save_model(network, card_fields(**size), tmp_path, half=half)
    loaded, card = load_model(tmp_path, written.task)
    images = torch.rand(shape, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        torch.testing.assert_close(loaded(images), network.eval()(images), atol=5e-3 if half else 0, rtol=0)
    assert card == written
    assert type(loaded) is type(network) and loaded.config == network.config == card.config
    assert not loaded.training
    assert {p.dtype for p in loaded.parameters()} == {torch.float32}
    assert not any(t.is_meta for t in loaded.state_dict().values())


def test_half_precision_halves_the_file_and_keeps_norms_exact(tmp_path: Path) -> None:
    network = UNet25D()
    sizes = {}
    for half in (False, True):
        save_model(network, card_fields(), tmp_path, half=half)
        sizes[half] = (tmp_path / "segmentation.safetensors").stat().st_size
    assert sizes[True] < 0.52 * sizes[False]
    loaded, _ = load_model(tmp_path, "segmentation")
    for name, tensor in network.state_dict().items():
        if tensor.ndim <= 1:
            assert torch.equal(loaded.state_dict()[name], tensor)


def test_card_is_immutable_typed_and_round_trips(saved: Path) -> None:
    card = load_card(saved / "segmentation.json")
    assert card.preprocessing.window_hu == (-1000.0, 400.0)
    assert card.preprocessing == Preprocessing(slices=7)
    assert card.calibration == Calibration("platt", 0.8, 0.3, -0.1)
    assert card.operating_table[0].bands == {"4-6 mm": 0.8}
    assert ModelCard.from_json(json.loads(json.dumps(card.to_json()))) == card
    with pytest.raises(FrozenInstanceError):
        card.name = "other"  # type: ignore[misc]


def test_card_can_ask_for_wavelet_and_air_outside_the_lung(tmp_path: Path) -> None:
    wanted = {"name": "db4", "level": 2, "factor": 1.0}
    save_model(UNet25D(TINY_UNET), card_fields(slices=7, wavelet=wanted, outside_lung="air"), tmp_path)
    card = load_card(tmp_path / "segmentation.json")
    assert card.preprocessing.wavelet == Wavelet("db4", 2, 1.0)
    assert card.preprocessing.outside_lung == "air"
    assert ModelCard.from_json(card.to_json()) == card


def test_hash_in_the_card_is_the_files(saved: Path) -> None:
    content = (saved / "segmentation.safetensors").read_bytes()
    assert load_card(saved / "segmentation.json").sha256 == hashlib.sha256(content).hexdigest()


def test_nothing_but_card_and_weights_is_left_in_the_folder(saved: Path) -> None:
    assert sorted(p.name for p in saved.iterdir()) == ["segmentation.json", "segmentation.safetensors"]


def test_incomplete_fields_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    fields = card_fields()
    del fields["license"]
    with pytest.raises(ModelError, match="license"):
        save_model(UNet25D(TINY_UNET), fields, tmp_path / "models")
    assert not (tmp_path / "models").exists()


def test_metrics_that_json_cannot_hold_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="metrics"):
        save_model(UNet25D(TINY_UNET), {**card_fields(), "metrics": {"auc": [float("nan")]}}, tmp_path / "models")
    assert not (tmp_path / "models").exists()


def test_calibration_maps_logits_to_probabilities() -> None:
    assert Calibration("platt", slope=2.0, intercept=1.0).probability(-0.5) == pytest.approx(0.5)
    both = Calibration("platt", slope=0.5, plane_slope=2.0, intercept=-1.0)
    expected = torch.sigmoid(0.5 * torch.tensor(1.2) + 2.0 * torch.logit(torch.tensor(0.7)) - 1.0)
    assert both.probability(1.2, 0.7) == pytest.approx(float(expected))
    assert 0.0 <= both.probability(0.0, 0.0) < both.probability(0.0, 0.5) < both.probability(0.0, 1.0) <= 1.0
    assert Calibration().probability(0.7) == pytest.approx(float(torch.sigmoid(torch.tensor(0.7))))
    assert Calibration().probability(1e6) == pytest.approx(1.0) and Calibration().probability(-1e6) >= 0.0


@pytest.mark.parametrize("name", ["segmentation.json", "segmentation.safetensors"])
def test_refuses_a_missing_file(saved: Path, name: str) -> None:
    (saved / name).unlink()
    assert name in refusal(saved)


def test_refuses_a_missing_folder(tmp_path: Path) -> None:
    assert "does not exist" in refusal(tmp_path / "nowhere")


@pytest.mark.parametrize(
    "content", [b"", b"no json", b"\xff\xfe\x00", b'{"schema": NaN}', b"[" * 100_000, b'{"schema": 1']
)
def test_refuses_a_card_that_is_not_json(saved: Path, content: bytes) -> None:
    (saved / "segmentation.json").write_bytes(content)
    assert "not JSON" in refusal(saved)


def test_refuses_a_card_of_absurd_size(saved: Path) -> None:
    (saved / "segmentation.json").write_bytes(b" " * 1_000_001)
    assert "too large" in refusal(saved)


@pytest.mark.parametrize("value", [[], 3, "card", None])
def test_refuses_json_that_is_no_object(saved: Path, value: object) -> None:
    (saved / "segmentation.json").write_text(json.dumps(value))
    assert "no object" in refusal(saved)


def set_at(path: str, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(card: dict[str, Any]) -> None:
        *parents, last = path.split(".")
        for key in parents:
            card = card[key]
        card[last] = value

    return change


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("schema", 2, "schema 2"),
        ("schema", "1", "schema '1'"),
        ("surprise", 1, "'surprise'"),
        ("task", "registration", "'registration'"),
        ("task", "classification", "unet25d"),
        ("architecture.name", "resnet", "unknown architecture 'resnet'"),
        ("architecture.config.depth", 3, "'depth'"),
        ("architecture.config.in_channels", "7", "in_channels"),
        ("architecture.config.in_channels", 6, "odd"),
        ("architecture.config.in_channels", True, "in_channels"),
        ("architecture.config.encoder_channels", [4, -6], "encoder_channels"),
        ("preprocessing.histogram", "equalised", "'histogram'"),
        ("preprocessing.patch_size", 64, "'patch_size'"),
        ("preprocessing.slices", 9, "another size"),
        ("preprocessing.slices", 0, "slices"),
        ("preprocessing.spacing_mm", 0, "spacing_mm"),
        ("preprocessing.spacing_mm", [1, 1, 1], "spacing_mm"),
        ("preprocessing.resampling.order", 2, "order 2"),
        ("preprocessing.resampling.order", True, "order True"),
        ("preprocessing.resampling.antialias", 1, "antialias 1"),
        ("preprocessing.resampling.mode", "wrap", "'mode'"),
        ("preprocessing.window_hu", [400, -1000], "window_hu"),
        ("preprocessing.window_hu", [-1000, 0, 400], "window_hu"),
        ("preprocessing.window_hu", "lung", "window_hu"),
        ("preprocessing.outside_lung", "water", "'water'"),
        ("preprocessing.wavelet", {"name": "db4", "level": 2}, "'factor'"),
        ("preprocessing.wavelet", {"name": "mexican hat", "level": 2, "factor": 1.0}, "'mexican hat'"),
        ("preprocessing.wavelet", {"name": "db4", "level": 0, "factor": 1.0}, "level"),
        ("preprocessing.wavelet", {"name": "db4", "level": 2, "factor": 1.0, "mode": "zero"}, "'mode'"),
        ("data", [{"name": "x", "citation": "y"}], "'licence'"),
        ("operating_table", [{"threshold": 2.0, "sensitivity": 1, "fp_per_scan": 1}], "threshold"),
        ("operating_table", {"threshold": 0.5}, "operating_table"),
        ("default_threshold", "0.5", "default_threshold"),
        ("default_threshold", 1.5, "default_threshold"),
        ("calibration", {"method": "isotonic"}, "'isotonic'"),
        ("calibration", {"method": "none", "slope": 2}, "'slope'"),
        ("research_use", " ", "research_use"),
        ("weights.file", "../segmentation.safetensors", "weights.file"),
        ("weights.file", "model.pkl", "weights.file"),
        ("weights.sha256", "abc", "weights.sha256"),
    ],
)
def test_refuses_a_card_with_an_unknown_entry_or_value(saved: Path, path: str, value: Any, words: str) -> None:
    edit_card(saved, set_at(path, value))
    assert words in refusal(saved)


def test_refuses_a_card_that_lacks_any_entry(saved: Path) -> None:
    whole = json.loads((saved / "segmentation.json").read_text())
    for section in (None, "preprocessing", "architecture", "weights"):
        for key in whole if section is None else whole[section]:
            card = copy.deepcopy(whole)
            del (card if section is None else card[section])[key]
            (saved / "segmentation.json").write_text(json.dumps(card))
            assert key in refusal(saved)


def test_refuses_another_tasks_card_under_this_tasks_name(tmp_path: Path) -> None:
    save_model(HybridClassifier(TINY_HYBRID), card_fields(patch_size=32), tmp_path)
    (tmp_path / "classification.json").rename(tmp_path / "segmentation.json")
    assert "is for classification" in refusal(tmp_path)


def test_refuses_weights_whose_hash_is_not_the_cards(saved: Path) -> None:
    path = saved / "segmentation.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(bytes(content))
    assert "are not the file their card describes" in refusal(saved)


@pytest.mark.parametrize("keep", [0, 4, 300, -10])
def test_refuses_corrupt_safetensors_even_with_a_matching_hash(saved: Path, keep: int) -> None:
    replace_weights(saved, (saved / "segmentation.safetensors").read_bytes()[:keep])
    assert "not a readable safetensors file" in refusal(saved)


def test_refuses_a_pickle_in_disguise(saved: Path, tmp_path: Path) -> None:
    pickled = tmp_path / "pickled.pt"
    torch.save(UNet25D(TINY_UNET).state_dict(), pickled)
    replace_weights(saved, pickled.read_bytes())
    assert "not a readable safetensors file" in refusal(saved)


def changed_tensors(folder: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    tensors = safetensors.torch.load_file(folder / "segmentation.safetensors")
    change(tensors)
    replace_weights(folder, safetensors.torch.save(tensors))


def test_refuses_weights_that_lack_a_tensor(saved: Path) -> None:
    changed_tensors(saved, lambda tensors: tensors.pop("head.bias"))
    assert "lack the tensor 'head.bias'" in refusal(saved)


def test_refuses_weights_with_a_tensor_too_many(saved: Path) -> None:
    changed_tensors(saved, lambda tensors: tensors.update(extra=torch.zeros(1)))
    assert "'extra'" in refusal(saved)


@pytest.mark.parametrize("tensor", [torch.zeros(2), torch.zeros(1, dtype=torch.int64)], ids=["shape", "kind"])
def test_refuses_weights_with_a_tensor_of_another_shape_or_kind(saved: Path, tensor: torch.Tensor) -> None:
    changed_tensors(saved, lambda tensors: tensors.update({"head.bias": tensor}))
    assert "'head.bias'" in refusal(saved)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_refuses_weights_that_are_not_finite(saved: Path, value: float) -> None:
    changed_tensors(saved, lambda tensors: tensors["head.bias"].fill_(value))
    assert "not finite" in refusal(saved)


def test_refuses_absurd_widths_without_allocating_them(saved: Path) -> None:
    huge = {"in_channels": 7, "encoder_channels": [10**7, 10**7], "decoder_channels": [10**7], "convolutions": [1, 1]}
    edit_card(saved, set_at("architecture.config", huge))
    assert "where the card's network has" in refusal(saved)


def test_describing_an_unregistered_network_fails() -> None:
    with pytest.raises(ValueError, match="Linear"):
        registry.describe_network(nn.Linear(2, 2))


def test_every_registered_architecture_round_trips_through_its_description() -> None:
    for name, architecture in registry.ARCHITECTURES.items():
        network = registry.build_network(name, architecture.config_type())
        description = json.loads(json.dumps(registry.describe_network(network)))
        assert description["name"] == name
        assert registry.build_config(name, description["config"]) == architecture.config_type()


def test_loading_weights_leaves_torch_s_compiler_alone() -> None:
    """Importing it takes longer than all else that loading does; arithmetic on a network without memory imports it."""
    code = (
        "import sys; from pathlib import Path; from LungNoduleCADLib.networks.weights import load_model; "
        "load_model(Path(sys.argv[1]), 'classification'); print('torch._dynamo' in sys.modules)"
    )
    command = [sys.executable, "-c", code, str(resource_path("Models"))]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
