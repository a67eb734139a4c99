"""Synthetic pairs, whose field is known, and patches drawn from them."""
