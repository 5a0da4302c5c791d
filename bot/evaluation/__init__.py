"""Suites of cases: found, investigated and scored."""
