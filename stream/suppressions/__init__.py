"""The suppression list in Kafka: followed by delivery, read and written by the HTTP door and the commands."""
