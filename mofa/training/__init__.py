"""Layer 5: synthetic scenes and real clips, objectives, the training loop, checkpoints."""
