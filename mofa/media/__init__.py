"""Layer 2: decode, encode, draw. The only home of PyAV and Pillow."""
