"""The demo's own world: a small service that really leaks, and the alerts Alertmanager would send."""
