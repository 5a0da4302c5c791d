"""Read-only sources of evidence, one package per kind of outside system."""
