"""What changed: in series, in traces and in logs, against a time in which all was well. Pure."""
