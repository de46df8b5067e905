"""The `rabbit` backend: presence and messages to RabbitMQ (AMQP 0-9-1), each confirmed by the broker."""
