"""Looking back on an incident that is over: cause, what was done, what would have found it sooner."""
