"""Which change explains this fault, if any does. Pure: a world in, suspects with reasons out."""
