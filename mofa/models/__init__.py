"""Layer 2: networks. The only home of diffusers and transformers."""
