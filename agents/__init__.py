"""One file, one agent, one async generator over batches; no Faust, no Kafka, no business rules."""
