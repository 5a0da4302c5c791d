"""Rules about what osquery's tables say of a machine."""
