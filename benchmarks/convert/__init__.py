"""Public datasets → snapshots (one directory per incident), each by a module that runs by itself."""
