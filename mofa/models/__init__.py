"""Layer 2: networks and solvers. The only home of diffusers and transformers."""
