"""Rules about Kubernetes workloads: from the objects, events and logs of a world to facts about services."""
