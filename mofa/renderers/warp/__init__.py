"""The photo's own pixels, moved."""
