"""The Liquid template language, within limits of time and size.

It may import ``places``.
"""
