"""Interactions, factor models, and the recommender that serves them.

It imports nothing else of ``models``.
"""
