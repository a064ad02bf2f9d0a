"""Layer 1: pixel geometry, flow algebra, splatting. Imports types and errors only."""
