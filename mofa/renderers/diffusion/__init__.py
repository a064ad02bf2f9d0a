"""Stable Video Diffusion, steered by the motion adapters."""
