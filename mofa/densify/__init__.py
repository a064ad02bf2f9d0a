"""Layer 2: sparse hints become dense motion."""
