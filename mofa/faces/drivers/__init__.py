"""Speech becomes the motion of a face: one signature for every driver."""
