"""Registered pairs, synthetic pairs and segmentations → tidy records."""
