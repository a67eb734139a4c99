"""Suffixes of a row's split: not its pairs are measured, but its cases."""

from __future__ import annotations

# Pairs made of the cases by fields that are known.
SYNTHETIC = "-synthetic"
# The organs of the cases as a segmenter finds them.
SEGMENTED = "-segmented"
# What a method must be trained for, by the suffix of its row's split.
CASE_SUFFIXES = {SYNTHETIC: "synthetic", SEGMENTED: "segmentation"}


def split_and_suffix(split: str) -> tuple[str, str]:
    """A row's split, and the suffix that asks for its cases instead of its pairs; may be empty."""
    suffix = next((s for s in CASE_SUFFIXES if split.endswith(s)), "")
    return split.removesuffix(suffix), suffix
