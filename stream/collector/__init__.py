"""The HTTP door: events in over HTTP."""
