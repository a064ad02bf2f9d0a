"""The studio: draw motion on a photo in the browser and watch it move."""
