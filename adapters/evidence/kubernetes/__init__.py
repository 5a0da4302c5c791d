"""Kubernetes over its REST API (https://kubernetes.io/docs/reference/using-api/), read-only.

Asked for are only ``get`` and ``list``, and ``get`` of ``pods/log``: deploy/kubernetes-reader.yaml.
"""

from adapters.evidence.kubernetes.source import KubernetesCluster

__all__ = ["KubernetesCluster"]
