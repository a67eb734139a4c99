"""In which precision a network computes while it is trained."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch


def precision_on(device: torch.device, precision: str) -> str:
    """The precision that is meant on a device: ``auto`` is bfloat16 where it has instructions for
    it, and single where it would only imitate them."""
    if precision != "auto":
        return precision
    if device.type == "cuda":
        has = torch.cuda.get_device_capability(device) >= (8, 0)
    else:
        able = torch.cpu.get_capabilities()
        has = any(able.get(name) for name in ("avx512_bf16", "amx_bf16", "bf16", "arm_bf16"))
    return "bfloat16" if has else "single"


def autocast(device: torch.device, precision: str) -> AbstractContextManager:
    """The context of a training step: `precision` as `precision_on` gives it."""
    if precision == "single":
        return nullcontext()
    return torch.autocast(device.type, dtype=getattr(torch, precision))
