"""Layer 2: each control (tracks, camera, brush, reference) becomes motion; who wins where."""
