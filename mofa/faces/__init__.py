"""Layer 3: face points, their motion, detection, retargeting, speech and video drivers."""
