"""The composition root. The only code that names concrete adapters and executors."""
