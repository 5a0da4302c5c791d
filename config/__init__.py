"""Configuration: a leaf. Only ``config.loader`` reads the environment."""
