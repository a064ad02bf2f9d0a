"""Layer 4: a motion plan becomes frames."""
