"""What clients call: names and ports that are wrong, and those that only look so."""

from __future__ import annotations

import pytest

from tests.investigators.platform.build import world
from tests.investigators.platform.cases import Case, case, judge, no, unknown
from tests.investigators.platform.objects import app, namespace, service

CART = [service("cart"), *app("cart")]
FRONT = [service("front"), *app("front", env={"CART_ADDR": "cart:80"})]


NAMES = [
    case(
        "a host with a typo in the environment",
        world(CART, app("front", env={"CART_ADDR": "crat:80"}), service("front")),
        "service_name_wrong",
        "front",
        says=("crat", "cart", "CART_ADDR"),
    ),
    case(
        "and a log that says so",
        world(
            CART,
            app("front", env={"CART_ADDR": "http://cartt.shop.svc.cluster.local:80/api"}),
            logs={
                "front": [
                    'Get "http://cartt.shop.svc.cluster.local:80/api": dial tcp: lookup '
                    "cartt.shop.svc.cluster.local on 10.96.0.10:53: no such host"
                ]
            },
        ),
        "service_name_wrong",
        "front",
        least=0.95,
    ),
    *[
        case(
            f"a log of {who}",
            world(CART, app("front"), logs={"front": [text]}),
            "service_name_wrong",
            "front",
        )
        for who, text in {
            "Go": "dial tcp: lookup cartt on 10.96.0.10:53: no such host",
            "Java": "Caused by: java.net.UnknownHostException: cartt: Name or service not known",
            "Spring": "I/O error on GET request: cartt; nested exception is "
            "java.net.UnknownHostException: cartt",
            "Python": "HTTPConnectionPool(host='cartt', port=80): Max retries exceeded with url: / "
            "(Caused by "
            "NameResolutionError(\"<urllib3.connection.HTTPConnection object>: Failed to resolve 'cartt' "
            '([Errno -2] Name or service not known)"))',
            "Node": "Error: getaddrinfo ENOTFOUND cartt\n    at GetAddrInfoReqWrap.onlookup",
            "nginx": '[emerg] 1#1: host not found in upstream "cartt" in /etc/nginx/nginx.conf:12',
            "gRPC": "DNS resolution failed for cartt:7070: C-ares status is not ARES_SUCCESS "
            "qtype=A name=cartt "
            "is_balancer=0: Domain name not found",
            "PostgreSQL": 'could not translate host name "cartt" to address: Name or service not known',
            "MySQL": "ERROR 2005 (HY000): Unknown MySQL server host 'cartt' (-2)",
        }.items()
    ],
    case(
        "a variable that speaks of another Service",
        world(
            CART,
            service("stock"),
            app("stock"),
            app("front", env={"CART_SERVICE_ADDR": "stock:80"}),
        ),
        "service_name_wrong",
        "front",
        says=("CART_SERVICE_ADDR", "names stock"),
    ),
    no(
        "a variable that speaks of a kind of thing",
        world(
            service("shop-postgres"),
            app("shop-postgres"),
            service("front"),
            app("front", env={"DB_HOST": "shop-postgres"}),
        ),
        "service_name_wrong",
    ),
    no("a name that is a Service", world(CART, FRONT), "service_name_wrong", "front"),
    no(
        "a name in another namespace that is there",
        world(
            service("db", namespace="data"),
            app("db", namespace="data"),
            namespace("data"),
            CART,
            app("front", env={"DB": "postgres://db.data:5432/x"}),
        ),
        "service_name_wrong",
    ),
    no(
        "a provider outside",
        world(CART, app("front", env={"PAY_URL": "https://api.stripe.com/v1"})),
        "service_name_wrong",
    ),
    no("its own name", world(CART, app("cart-worker", env={"NAME": "cart-worker:1"})), "service_name_wrong"),
    no(
        "absent for a subject whose names are right",
        world(CART, FRONT, subjects=["front"]),
        "service_name_wrong",
        "front",
        absent=True,
    ),
    unknown("no list of Services", world(CART, FRONT, failed=["Service"]), "service_name_wrong"),
    case(
        "a Service that is gone",
        world(
            app("cart"),
            service("front"),
            app("front"),
            app("web"),
            logs={"front": ["dial tcp: lookup cart on 10.96.0.10:53: no such host"]},
        ),
        "service_missing",
        least=0.85,
    ),
    no("a Service that is there", world(CART, FRONT), "service_missing"),
    no(
        "no list of Services tells nothing",
        world(
            app("cart"),
            app("front"),
            failed=["Service"],
            logs={"front": ["dial tcp: lookup cart on 10.96.0.10:53: no such host"]},
        ),
        "service_missing",
    ),
    case(
        "a port the Service does not have",
        world(CART, app("front", env={"CART_ADDR": "cart:7071"})),
        "service_port_wrong",
        "front",
        says=("7071", "80"),
    ),
    case(
        "and the connection fails",
        world(
            service("cart", ip="10.96.5.5"),
            app("cart"),
            app("front", env={"CART_ADDR": "cart:7071"}),
            logs={"front": ["connect ETIMEDOUT 10.96.5.5:7071"]},
        ),
        "service_port_wrong",
        "front",
        least=0.9,
    ),
    no(
        "a port the Service has",
        world(CART, FRONT, subjects=["front"]),
        "service_port_wrong",
        "front",
        absent=True,
    ),
    no(
        "a headless Service called at the pods' port",
        world(service("cart", clusterIP="None"), app("cart"), app("front", env={"CART_ADDR": "cart:8080"})),
        "service_port_wrong",
    ),
    unknown("no list of workloads", world(CART, FRONT, failed=["Deployment"]), "service_port_wrong"),
    case(
        "an ExternalName inside that is not there",
        world(
            service(
                "cart", {}, type="ExternalName", externalName="basket.shop.svc.cluster.local", clusterIP=None
            ),
            app("front"),
        ),
        "external_name_wrong",
    ),
    case(
        "an ExternalName outside that nobody can look up",
        world(
            service("cart", {}, type="ExternalName", externalName="db.example.invalid"),
            app("front"),
            logs={"front": ["getaddrinfo ENOTFOUND db.example.invalid"]},
        ),
        "external_name_wrong",
    ),
    no(
        "an ExternalName outside that works",
        world(CART, service("pay", {}, type="ExternalName", externalName="api.stripe.com")),
        "external_name_wrong",
        absent=True,
    ),
    unknown("no list", world(CART, failed=["Service"]), "external_name_wrong"),
]


@pytest.mark.parametrize("one", NAMES, ids=lambda one: f"{one.kind}: {one.name}")
def test_names_and_ports_that_clients_call_are_checked_against_the_services(one: Case) -> None:
    judge(one)
