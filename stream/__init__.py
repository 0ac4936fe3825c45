"""The only place that knows Faust, Kafka, HTTP and SMTP."""
