"""Executors: the only code that changes anything outside. Only composition roots may name them."""
