"""The investigator that asks a model after the rules have spoken."""
