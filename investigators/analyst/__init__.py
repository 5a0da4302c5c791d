"""A model that reads the evidence, asks for more, and answers with claims that can be checked."""
