"""A simulated shop with known truth: seeded shoppers whose tastes, visits and departures follow stated laws.

The package imports nothing else of ``models``.
"""
