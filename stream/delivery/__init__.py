"""Handing messages to providers, one file a channel."""
