"""Layer 4: request -> motion plan -> frames."""
