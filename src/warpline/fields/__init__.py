"""Displacement fields: sampling, algebra, physical space, files."""
