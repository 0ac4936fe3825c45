"""Messages on their way to a provider: queue, deliveries, outcomes, suppression.

This package may import ``configuration``.
"""
