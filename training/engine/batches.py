"""Batches: what the samplers draw, stacked; what the networks get is made of it on their device."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..patches import PatchSampler
from ..sampler import SliceSampler
from ..transforms.base import Transform

HARD_LEVEL = 0.4
"""Healthy lung that is called nodule with at least this probability comes back."""


@dataclass(frozen=True, eq=False)
class SliceBatch:
    """Slices for the U-Net.

    :param slices: (n, 7, h, w), levels 0-255 as uint8, or in [0, 1] once `ready`.
    :param target: (n, 1, h, w), 1 where there is a nodule.
    :param valid: (n, 1, h, w), 0 where nothing is known.
    :param places: where each plain piece of lung is; None for the others.
    :param transforms: what is to be done to each sample; none where all is done.
    """

    slices: Tensor
    target: Tensor
    valid: Tensor
    places: Sequence[Any]
    transforms: Sequence[Transform] = ()

    def to(self, device: torch.device, **options: Any) -> SliceBatch:
        """On a device."""
        slices, target, valid = (part.to(device, **options) for part in (self.slices, self.target, self.valid))
        return replace(self, slices=slices, target=target, valid=valid)

    def ready(self) -> SliceBatch:
        """As floats, transformed."""
        slices = self.slices.float().div_(255)
        target, valid = self.target, self.valid
        if self.transforms:
            pairs = list(zip(self.transforms, slices, strict=True))
            slices = torch.stack([transform(image) for transform, image in pairs])
            # The mask (1, h, w) of a middle slice: mirrored along k it is the same.
            target, valid = (
                torch.stack([transform.of_mask(mask) for transform, mask in zip(self.transforms, masks, strict=True)])
                for masks in (target, valid)
            )
        slices = slices.contiguous(memory_format=torch.channels_last)
        return SliceBatch(slices, target.float(), valid.float(), self.places)


@dataclass(frozen=True, eq=False)
class PatchBatch:
    """Patches for the classifier.

    :param patches: (n, 1, s, s, s), levels 0-255 as uint8, or in [0, 1] once `ready`.
    :param nodule: (n,), 1 or 0.
    :param malignancy: (n,), 1, 0 or NaN.
    :param proposals: index of the false proposal that a patch shows, or None.
    """

    patches: Tensor
    nodule: Tensor
    malignancy: Tensor
    proposals: Sequence[int | None]
    transforms: Sequence[Transform] = ()

    def to(self, device: torch.device, **options: Any) -> PatchBatch:
        """On a device."""
        patches, nodule, malignancy = (p.to(device, **options) for p in (self.patches, self.nodule, self.malignancy))
        return replace(self, patches=patches, nodule=nodule, malignancy=malignancy)

    def ready(self) -> PatchBatch:
        """As floats, transformed."""
        patches = self.patches.float().div_(255)
        if self.transforms:
            pairs = zip(self.transforms, patches[:, 0], strict=True)
            patches = torch.stack([transform(patch) for transform, patch in pairs]).unsqueeze(1)
        return replace(self, patches=patches.contiguous(memory_format=torch.channels_last_3d), transforms=())


Batch = SliceBatch | PatchBatch


def slice_batch(sampler: SliceSampler, count: int) -> SliceBatch:
    """Draw slices."""
    slices, targets, ignored, places = zip(*(sampler.draw() for _ in range(count)), strict=True)
    target, ignore = (torch.from_numpy(np.stack(masks)).unsqueeze(1) for masks in (targets, ignored))
    return SliceBatch(torch.from_numpy(np.stack(slices)), target, ~ignore, places)


def patch_batch(sampler: PatchSampler, count: int) -> PatchBatch:
    """Draw patches."""
    samples = [sampler.draw() for _ in range(count)]
    return PatchBatch(
        torch.from_numpy(np.stack([s.patch for s in samples])).unsqueeze(1),
        torch.tensor([float(s.is_nodule) for s in samples]),
        torch.tensor([s.malignancy for s in samples]),
        [s.proposal for s in samples],
    )


def report_slices(sampler: SliceSampler, batch: SliceBatch, levels: Tensor) -> None:
    """Tell the sampler where healthy lung was called nodule.

    :param levels: (n,), the highest probability that the network gave in each sample.
    """
    for place, level in zip(batch.places, levels.tolist(), strict=True):
        if place is not None and level > HARD_LEVEL:
            sampler.report_hard(*place)


def report_patches(sampler: PatchSampler, batch: PatchBatch, probabilities: Tensor) -> None:
    """Tell the sampler how much of a nodule the classifier saw in each false proposal."""
    for proposal, probability in zip(batch.proposals, probabilities.tolist(), strict=True):
        if proposal is not None:
            sampler.report(proposal, probability)
