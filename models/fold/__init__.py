"""The fold: one partition of users, from events to state and outputs.

It may import every other package of ``models``.
"""
