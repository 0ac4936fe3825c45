"""Feeding a log by hand: what the replay and the simulation share, with a clock that they move themselves."""
