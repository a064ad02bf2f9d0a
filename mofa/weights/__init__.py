"""Layer 3: what weights exist, where from, under which licence; locate, download, verify."""
