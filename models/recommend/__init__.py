"""Interactions, factor models, and the recommender that serves them."""
