"""Fixtures every test may ask for."""

from hypothesis import settings

pytest_plugins = ["tests.servers.fixtures"]

# The same examples in every run: what fails here fails everywhere. To search further:
# pytest --hypothesis-profile=search
settings.register_profile("repeatable", derandomize=True)
settings.register_profile("search", derandomize=False, max_examples=1000)
settings.load_profile("repeatable")
