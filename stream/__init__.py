"""Stream processing: everything that knows Kafka, the web, processes and files.

It may import agents, models and monitoring.
"""
