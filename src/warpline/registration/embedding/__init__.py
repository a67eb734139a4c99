"""Displacement embeddings (Hansen & Heinrich 2020): each piece a function that stands alone."""
