"""Layer 6: measures of motion and picture, and the benchmark that prints them."""
