"""Pure thought: no Kafka, no clock, no environment, no I/O."""
