"""A simulated shop with known truth: seeded shoppers whose tastes, visits and departures follow stated laws.

This package imports no other package of ``models``.
"""
