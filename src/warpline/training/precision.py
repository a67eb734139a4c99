"""In which precision a network computes while it is trained."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch


def precision_on(device: torch.device, precision: str) -> str:
    """The precision that is meant on a device.

    ``auto`` is what it has instructions for: bfloat16, else float16 on a GPU with cores for it, and
    single where it would only imitate them. ``card`` is the same on a GPU, and single on a CPU.
    ``float16`` on a CPU is ``auto``: a convolution by it takes several hundred times as long, and
    nothing scales its loss.
    """
    if precision == "float16" and device.type == "cpu":
        precision = "auto"
    if precision not in ("auto", "card"):
        return precision
    if device.type == "cuda":
        capability = torch.cuda.get_device_capability(device)
        if (7, 0) <= capability < (8, 0):
            return "float16"
        has = capability >= (8, 0)
    elif precision == "card":
        has = False
    else:
        able = torch.cpu.get_capabilities()
        has = any(able.get(name) for name in ("avx512_bf16", "amx_bf16", "bf16", "arm_bf16"))
    return "bfloat16" if has else "single"


def autocast(device: torch.device, precision: str) -> AbstractContextManager:
    """The context of a training step: `precision` as `precision_on` gives it."""
    if precision == "single":
        return nullcontext()
    return torch.autocast(device.type, dtype=getattr(torch, precision))
