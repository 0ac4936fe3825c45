"""The Faust application that feeds the lanes.

It may import ``engine``, ``processes`` and ``cluster``.
"""
