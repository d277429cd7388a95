"""Prints every row of an Avro topic as a line of JSON: read_avro.py BROKERS TOPIC REGISTRY."""

import json
import sys

from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer
from confluent_kafka.serialization import MessageField, SerializationContext


def main(brokers: str, topic: str, registry: str) -> None:
    deserialize = AvroDeserializer(SchemaRegistryClient({"url": registry}))
    consumer = Consumer({"bootstrap.servers": brokers, "group.id": "read-avro"})
    context = SerializationContext(topic, MessageField.VALUE)
    for partition in consumer.list_topics(topic).topics[topic].partitions:
        start = TopicPartition(topic, partition, 0)
        _, end = consumer.get_watermark_offsets(start)
        consumer.assign([start])
        while consumer.position([start])[0].offset < end:
            message = consumer.poll(1)
            if message is None:
                continue
            if message.error():
                raise SystemExit(message.error().str())
            row = deserialize(message.value(), context)
            print(json.dumps(row, default=str))


main(*sys.argv[1:])
