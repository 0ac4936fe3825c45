"""Messages on their way to a provider: queue, deliveries, outcomes, suppression.

It may import ``configuration``.
"""
