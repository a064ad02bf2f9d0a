"""Many scenes: what is to be made, what has been, and the processes that make the rest."""
