"""Training the network that tells things apart: its data makers and its objective."""
