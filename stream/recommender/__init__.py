"""Training of the recommender, and reading of its newest model.

It may import ``processes`` and ``cluster``.
"""
