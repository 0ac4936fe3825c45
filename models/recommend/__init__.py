"""Interactions, factor models, and the recommender that serves them.

This package imports no other package of ``models``.
"""
