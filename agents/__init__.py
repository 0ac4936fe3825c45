"""The agents: each file holds one async generator over batches, without Faust, Kafka or business rules."""
