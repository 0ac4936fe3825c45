"""Two profiles that turn out to be one person: an anonymous visitor, and the known user after a login.

It may import ``profile``, ``engage``, ``configuration`` and ``recommend``.
"""
