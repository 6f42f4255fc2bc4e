"""Which processor runs the networks, in which precision, and what happens when its memory is full."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import TypeVar

import torch

from ..errors import DeviceError

T = TypeVar("T")

DEVICES = ("auto", "cpu", "cuda", "mps")


def choose_device(name: str = "auto") -> torch.device:
    """The device of that name; "auto" takes CUDA, then Apple's MPS, then the CPU.

    :raises DeviceError: when the device does not exist here.
    """
    kind = name.split(":")[0]
    if kind not in DEVICES:
        raise DeviceError(f"Device '{name}' is unknown; choose one of {', '.join(DEVICES)}.")
    if name == "auto":
        return torch.device(
            "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
        )
    if kind == "cuda" and not torch.cuda.is_available():
        raise DeviceError("Device 'cuda' was asked for, but PyTorch sees no NVIDIA GPU; use `--device auto` or `cpu`.")
    if kind == "mps" and not torch.backends.mps.is_available():
        raise DeviceError("Device 'mps' was asked for, but PyTorch sees no Apple GPU; use `--device auto` or `cpu`.")
    device = torch.device(name)
    if kind == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise DeviceError(
            f"Device '{name}' does not exist; this machine has {torch.cuda.device_count()} NVIDIA GPU(s)."
        )
    return device


def describe_device(device: torch.device) -> str:
    """A name for reports: the GPU's, or the CPU with its thread count."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"CPU, {torch.get_num_threads()} threads" if device.type == "cpu" else device.type


def has_fast_bfloat16() -> bool:
    """Whether this CPU multiplies bfloat16 in hardware (AVX-512 BF16 or AMX). Without it, bfloat16 is several times
    slower than float32, not faster."""
    capabilities: dict[str, bool] = getattr(torch.cpu, "get_capabilities", dict)()
    return bool(capabilities.get("amx_bf16") or capabilities.get("amx") or capabilities.get("avx512_bf16"))


def precision(device: torch.device) -> torch.dtype:
    """The type the networks' convolutions run in: half precision where the hardware gains from it."""
    if device.type == "cuda":
        return torch.float16
    if device.type == "cpu" and has_fast_bfloat16():
        return torch.bfloat16
    return torch.float32


def autocast(device: torch.device) -> AbstractContextManager[object]:
    """Mixed precision as `precision` says; a context that does nothing for float32."""
    dtype = precision(device)
    return nullcontext() if dtype is torch.float32 else torch.autocast(device.type, dtype=dtype)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception says that a device's memory is full. PyTorch's CPU and MPS allocators raise plain
    RuntimeErrors."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(
        text in str(error) for text in ("can't allocate memory", "out of memory", "not enough memory")
    )


def with_memory_fallback(
    run: Callable[[torch.device, int], T], device: torch.device, batch: int, warn: Callable[[str], None], what: str
) -> T:
    """Call `run(device, batch)`; when memory is short, halve the batch down to 1, then go to the CPU, and say so.

    :raises DeviceError: when not even one item at a time fits into the CPU's memory.
    """
    first = batch
    while True:
        try:
            return run(device, batch)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
        if device.type == "cuda":
            torch.cuda.empty_cache()
        if batch > 1:
            batch //= 2
            warn(f"Not enough memory on {device} for {what} in batches of {batch * 2}; went on with {batch}.")
        elif device.type != "cpu":
            warn(f"Not enough memory on {device} for {what}; went on on the CPU, which is slower.")
            device, batch = torch.device("cpu"), first
        else:
            raise DeviceError(f"There is not enough memory for {what}; close other programs and run again.")
