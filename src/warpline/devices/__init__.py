"""Which card a job computes on, and whose it is."""
