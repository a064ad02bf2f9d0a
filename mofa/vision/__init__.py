"""Layer 2: classical vision: selection, filling, soft outlines, optical flow, point tracks."""
