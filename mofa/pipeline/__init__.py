"""Layer 5: request -> motion plan -> frames."""
