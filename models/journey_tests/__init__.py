"""Tests of journeys: a test file plays events through the fold of production, and says what must follow.

It may import ``fold``, ``engage``, ``delivery``, ``profile``, ``conditions``, ``configuration``, ``wire`` and
``learning``.
"""
