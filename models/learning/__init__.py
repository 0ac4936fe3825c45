"""Online models: they learn from examples in a learner, and score as plain numbers in the fold.

It imports nothing else of ``models``.
"""
