"""Rules about the platform: service path, dependencies, nodes, performance, control plane."""
