"""Layer 2: decode, encode, draw. The only home of OpenCV, PyAV and Pillow."""
