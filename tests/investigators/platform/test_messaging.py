"""Queues and streams: who falls behind, and what makes it."""

from __future__ import annotations

import pytest

from tests.investigators.platform.build import line, step, track, world
from tests.investigators.platform.cases import Case, case, judge, no, unknown
from tests.investigators.platform.objects import app

SHOP = [*app("cart"), *app("mail-service")]
GROWING = [10.0] * 40 + [float(10 + 200 * index) for index in range(20)]
POISON = (
    "org.apache.kafka.common.errors.RecordDeserializationException: Error deserializing VALUE for "
    "partition orders-3 "
    "at offset 12345. If needed, please seek past the record to continue consumption."
)
OTHERS = [POISON.replace("12345", str(number)) for number in range(9)]
CASES = [
    case(
        "a group's lag",
        world(
            tracks=[track("kafka_consumergroup_lag", GROWING, "", consumergroup="cart", topic="orders")],
            kinds={"cart": "service"},
        ),
        "consumer_lag",
        says=("on orders",),
    ),
    case(
        "a group named nearly like its service",
        world(
            SHOP,
            tracks=[
                track(
                    "kafka_consumergroup_lag", GROWING, "kafka-exporter", consumergroup="mail", topic="orders"
                )
            ],
            kinds={"mail-service": "service"},
        ),
        "consumer_lag",
        "mail-service",
    ),
    case(
        "the consumer's own metric",
        world(tracks=[track("kafka_consumer_fetch_manager_records_lag_max", GROWING, "cart")]),
        "consumer_lag",
    ),
    case(
        "its own log",
        world(
            SHOP,
            logs={
                "cart": [
                    "CommitFailedException: Offset commit cannot be completed since the consumer is "
                    "not part of an active group"
                ]
            },
        ),
        "consumer_lag",
    ),
    no("lag as ever", world(tracks=[track("kafka_consumergroup_lag", [900] * 60, "cart")]), "consumer_lag"),
    no(
        "lag that was caught up",
        world(tracks=[track("kafka_consumergroup_lag", [0] * 30 + [900] * 20 + [3] * 10, "cart")]),
        "consumer_lag",
    ),
    no(
        "a lag of nothing",
        world(SHOP, logs={"cart": ["consumer group cart: lag 0"]}),
        "consumer_lag",
        absent=True,
    ),
    unknown("a cut log", world(SHOP, logs={"cart": ["fine"]}, log_cut="cut"), "consumer_lag"),
    case(
        "a queue that fills",
        world(
            tracks=[track("rabbitmq_queue_messages_ready", GROWING, "", queue="orders")],
            kinds={"orders": "queue"},
        ),
        "queue_backlog",
        "orders",
        "queue",
    ),
    case(
        "that nobody consumes",
        world(
            tracks=[
                track("rabbitmq_queue_messages_ready", GROWING, "rabbit", queue="orders"),
                track("rabbitmq_queue_consumers", step(2, 0), "rabbit", queue="orders"),
            ],
            kinds={"rabbit": "queue"},
        ),
        "queue_backlog",
        "rabbit",
        "queue",
        least=0.85,
        says=("nobody consumes",),
    ),
    no(
        "a full queue as ever",
        world(tracks=[track("rabbitmq_queue_messages_ready", [500] * 60, "orders")]),
        "queue_backlog",
    ),
    no(
        "a queue that is nearly empty",
        world(tracks=[track("rabbitmq_queue_messages_ready", step(0, 9), "orders")]),
        "queue_backlog",
    ),
    unknown("no metric", world(SHOP), "queue_backlog"),
    case(
        "one record of Kafka again and again",
        world(SHOP, logs={"cart": [POISON] * 4}),
        "poison_message",
        says=("orders-3 offset 12345", "4 times"),
    ),
    case(
        "Python",
        world(
            SHOP,
            logs={
                "cart": ["Error processing message topic=orders partition=3 offset=12345: KeyError('price')"]
                * 3
            },
        ),
        "poison_message",
        says=("3 offset 12345",),
    ),
    case(
        "RabbitMQ",
        world(
            SHOP,
            logs={
                "cart": [
                    "failed to handle delivery, requeue: message_id=7f3a-22 redelivered=true: json: "
                    "cannot unmarshal"
                ]
                * 5
            },
        ),
        "poison_message",
        says=("7f3a-22",),
    ),
    no("many different records that fail", world(SHOP, logs={"cart": OTHERS}), "poison_message"),
    no("a record that failed once", world(SHOP, logs={"cart": [POISON]}), "poison_message"),
    no("long ago", world(SHOP, lines=[line(POISON, service="cart", minutes=50)] * 5), "poison_message"),
    no(
        "offsets that are committed",
        world(SHOP, logs={"cart": ["committed offset=12345 partition=3"] * 5}),
        "poison_message",
        absent=True,
    ),
    unknown("no log", world(SHOP), "poison_message"),
]


@pytest.mark.parametrize("one", CASES, ids=lambda one: f"{one.kind}: {one.name}")
def test_lag_is_charged_to_the_consumer_and_one_bad_message_found(one: Case) -> None:
    judge(one)
