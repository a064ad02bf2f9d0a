"""What drives a face: a video, speech, a file. Everything here ends in a LandmarkClip."""
