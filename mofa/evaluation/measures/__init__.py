"""What is measured, as pure functions over tensors: each docstring is the definition, with its source."""
