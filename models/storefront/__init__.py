"""A simulated shop with known truth: seeded shoppers whose tastes, visits and departures follow stated laws.

It imports nothing else of ``models``.
"""
