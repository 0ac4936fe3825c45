"""Pure computation: no Kafka, no clock, no environment, no I/O."""
