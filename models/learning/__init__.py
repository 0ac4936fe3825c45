"""Online models: learners train on one example after another, and scorers use the published numbers in the fold.

This package imports no other package of ``models``.
"""
