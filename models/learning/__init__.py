"""Online models: learners train on one example after another, and scorers use the published numbers in the fold.

It imports nothing else of ``models``.
"""
