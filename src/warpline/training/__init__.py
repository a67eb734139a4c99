"""Training: one loop for every network, data in memory, checkpoints that survive."""
