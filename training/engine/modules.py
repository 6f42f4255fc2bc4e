"""One Lightning module a network: its loss, and what validation says of it."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from lightning.pytorch import LightningModule
from torch import Tensor, nn
from torch.nn import functional
from torchmetrics import MetricCollection
from torchmetrics.aggregation import MeanMetric
from torchmetrics.classification import BinaryAccuracy, BinaryAUROC, BinaryPrecision, BinaryRecall

from LungNoduleCADLib.networks.fusion import channels_last
from LungNoduleCADLib.networks.registry import build_config, build_network, describe_network

from .batches import PatchBatch, SliceBatch
from .config import Config
from .losses import focal_loss, segmentation_loss
from .schedules import MONITORED_LOSS, optimizer_of, schedule_of

PRIOR_LOGIT = -3.0
"""A nodule voxel is rare: starting there spares the first steps (Lin et al. 2017)."""
NODULE_LEVEL = 0.5


class TrainingModule(LightningModule):
    """A network with its optimizer. A training step returns, beside the loss, an `opinion` of each sample, which goes
    back to where the samples come from."""

    best: str
    """The validation metric, the higher the better, that decides which weights are kept."""

    def __init__(self, network: nn.Module, config: Config) -> None:
        super().__init__()
        self.network, self.config = network, config

    def configure_optimizers(self) -> Any:
        """The configured ones."""
        optimizer = optimizer_of(self.config.optimisation, self.network.parameters())
        return {"optimizer": optimizer, "lr_scheduler": schedule_of(self.config.optimisation, optimizer)}

    def on_train_epoch_start(self) -> None:
        """Seed what the network itself draws, anew each interval, so that a resumed run draws the same."""
        seed = np.random.SeedSequence([self.config.seed, self.current_epoch, self.global_rank])
        torch.manual_seed(int(seed.generate_state(1)[0]))

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Say which network it is."""
        checkpoint["network"] = describe_network(self.network)

    def log_loss(self, loss: Tensor, count: int) -> None:
        """The mean over an interval, as `loss`."""
        self.log("loss", loss.detach(), on_step=False, on_epoch=True, batch_size=count)

    def log_validation(self, loss: Tensor, count: int) -> None:
        """The mean over all validation batches of all processes."""
        self.log(MONITORED_LOSS, loss, batch_size=count, sync_dist=True)


class SegmentationModule(TrainingModule):
    """The U-Net, by Dice, cross-entropy and its hardest pixels."""

    best = "val_dice"

    def __init__(self, network: nn.Module, config: Config) -> None:
        super().__init__(network, config)
        self.dice, self.found, self.false = MeanMetric(), MeanMetric(), MeanMetric()

    def training_step(self, batch: SliceBatch, index: int) -> dict[str, Tensor]:
        """Loss, and the highest probability in each sample."""
        logits = self.network(batch.slices).float()
        loss = segmentation_loss(logits, batch.target, batch.valid)
        self.log_loss(loss, len(logits))
        return {"loss": loss, "opinion": (logits.detach().sigmoid() * batch.valid).flatten(1).amax(1)}

    def validation_step(self, batch: SliceBatch, index: int) -> None:
        """Dice and sensitivity of slices with a nodule, and how many of the others have something marked."""
        logits = self.network(batch.slices).float()
        self.log_validation(segmentation_loss(logits, batch.target, batch.valid), len(logits))
        marked = ((logits.sigmoid() * batch.valid) > NODULE_LEVEL).flatten(1)
        target = (batch.target > 0).flatten(1)
        positive = target.any(1)
        common = (marked & target).sum(1)
        if positive.any():
            self.dice.update((2 * common / (marked.sum(1) + target.sum(1)).clamp(min=1))[positive])
            self.found.update((common > 0).float()[positive])
        if not positive.all():
            self.false.update(marked.any(1).float()[~positive])
        for name, metric in (("val_dice", self.dice), ("val_sensitivity", self.found), ("val_false", self.false)):
            self.log(name, metric, on_step=False, on_epoch=True)


class ClassificationModule(TrainingModule):
    """The hybrid network: focal loss for nodules, cross-entropy for malignancy where readers agree."""

    best = "val_auc"

    def __init__(self, network: nn.Module, config: Config) -> None:
        super().__init__(network, config)
        self.metrics = MetricCollection(
            {"auc": BinaryAUROC(), "accuracy": BinaryAccuracy(), "precision": BinaryPrecision(),
             "recall": BinaryRecall()},
            prefix="val_", compute_groups=False,
        )  # fmt: skip
        self.malignancy = BinaryAUROC(ignore_index=-1)

    def training_step(self, batch: PatchBatch, index: int) -> dict[str, Tensor]:
        """Loss, and each sample's probability of being a nodule."""
        logits = self.network(batch.patches).float()
        loss = self._loss(logits, batch)
        self.log_loss(loss, len(logits))
        return {"loss": loss, "opinion": logits[:, 0].detach().sigmoid()}

    def validation_step(self, batch: PatchBatch, index: int) -> None:
        """AUC, accuracy, precision and recall (A16), and malignancy's AUC."""
        logits = self.network(batch.patches).float()
        self.log_validation(self._loss(logits, batch), len(logits))
        self.metrics.update(logits[:, 0].sigmoid(), batch.nodule.int())
        self.malignancy.update(logits[:, 1].sigmoid(), batch.malignancy.nan_to_num(-1).int())
        self.log_dict(dict(self.metrics.items()), on_step=False, on_epoch=True)
        self.log("val_malignancy_auc", self.malignancy, on_step=False, on_epoch=True)

    def _loss(self, logits: Tensor, batch: PatchBatch) -> Tensor:
        settings = self.config.loss
        loss = focal_loss(logits[:, 0], batch.nodule, settings.gamma, settings.alpha) * settings.scale
        rated = ~batch.malignancy.isnan()
        if rated.any():
            loss = loss + settings.malignancy * functional.binary_cross_entropy_with_logits(
                logits[rated, 1], batch.malignancy[rated]
            )
        return loss


def build_module(config: Config) -> TrainingModule:
    """A module with fresh weights, drawn from the configuration's seed."""
    torch.manual_seed(config.seed)
    network = channels_last(build_network(config.network, build_config(config.network, config.settings)))
    if config.task == "classification":
        return ClassificationModule(network, config)
    with torch.no_grad():
        network.head.bias.fill_(PRIOR_LOGIT)  # type: ignore[union-attr, operator]
    return SegmentationModule(network, config)
