"""Layer 3: sigma schedules, the denoiser, the sampling loop."""
