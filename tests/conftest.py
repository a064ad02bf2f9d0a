"""Shared fixtures. Shapes in annotations are checked while tests run (jaxtyping and beartype)."""

from jaxtyping import install_import_hook

install_import_hook("mofa", "beartype.beartype")
