"""The Liquid template language, with limits on time and size.

This package may import ``places``.
"""
