"""Training of the recommender, and reading of its newest model.

This package may import ``processes`` and ``cluster``.
"""
