"""The gathered evidence as one world: Kubernetes objects, service graph, logs, traces, series by object."""
