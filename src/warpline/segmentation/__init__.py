"""Organs by windows of a segmenter, and labels made from them."""
