"""The Faust application that feeds the lanes.

This package may import ``engine``, ``processes`` and ``cluster``.
"""
