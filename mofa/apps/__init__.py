"""Layer 7: the command line. The only place that prints."""
