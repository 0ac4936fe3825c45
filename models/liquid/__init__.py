"""The Liquid template language, with limits on time and size.

It may import ``places``.
"""
