"""Deformable medical image registration: five papers, one workflow."""

__version__ = "0.1.0"
