"""What a service depends on."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from benchmarks.scenarios.kubernetes.changing import tagged
from benchmarks.scenarios.kubernetes.cluster import NAMESPACE, Doc
from benchmarks.scenarios.kubernetes.load import complaints, requests
from benchmarks.scenarios.kubernetes.shop import busy, shop
from benchmarks.scenarios.kubernetes.states import crashing
from benchmarks.scenarios.kubernetes.story import Story, about, change, truth


def cache(case: str) -> Story:
    """The cache's process ends with an error; two services complain, the alert is about one of them.
    A new storefront was rolled out a quarter of an hour before, and is well."""
    cluster = shop(case)
    cluster.rolled("storefront", tagged("5.2.2"), minutes=31)
    workload = cluster.workloads["ember"]
    pod = workload.pods[0]
    crashing(cluster, workload, pod, 1, restarts=7, lasted=0.03, ended=1.4)
    cluster.log(
        pod,
        (
            1.43,
            "1:C 12 May 2026 09:28:34.204 * Redis version=7.2.4, bits=64, commit=00000000, modified=0, pid=1",
        ),
        (
            1.42,
            "1:M 12 May 2026 09:28:34.690 # Bad file format reading the append only file "
            "appendonly.aof.3.incr.aof: "
            "make a backup of your AOF file, then use ./redis-check-aof --fix <filename>",
        ),
        previous=True,
    )
    for name in ("shelf", "quill"):
        complaints(
            cluster,
            name,
            f"ERROR {name} cache: dial tcp {cluster.service_ip('ember')}:6379: connect: connection refused",
            since=15,
        )
    requests(cluster, "quill", lambda m: 4.4 if m > 15 else 2.6, lambda m: 0.01 if m > 15 else 1.9)
    cluster.series(
        "redis_up", lambda m: 1.0 if m > 15 else 0.0, noise=0, namespace=NAMESPACE, service="ember"
    )
    busy(cluster, skip=("quill",))
    return Story(
        cluster=cluster,
        alert="HighErrorRate",
        summary="more than 20% of quill's requests fail",
        labels=about("quill"),
        severity="critical",
        fired=13,
        changes=[
            change(
                31,
                "51cc07be",
                "storefront",
                "Release 5.2.2",
                version="5.2.2",
                files=["storefront/basket.html"],
                diff="-<p>Your basket</p>\n+<p>Your books</p>\n",
            ),
        ],
        truth=truth(
            "dependencies",
            ("ember", "process_crash", ""),
            ("ember", "cache_down", ""),
            ("ember", "dependency_down", ""),
            culprit="none",
            tags=["red_herring"],
            forbidden=[{"culprit_change": "51cc07be"}],
        ),
    )


def outside(case: str) -> Story:
    """The payment provider answers 503. A release of the storefront has nothing to do with it."""
    cluster = shop(case)
    complaints(
        cluster,
        "till",
        "ERROR till charge failed: POST https://api.paylark.example/v2/charges: 503 Service Unavailable",
        since=16,
    )
    complaints(cluster, "quill", "WARN quill till answered 502 Bad Gateway, order kept for later", since=15.5)
    requests(cluster, "till", lambda m: 2.0 if m > 16 else 0.2, lambda m: 0.01 if m > 16 else 1.8)
    requests(cluster, "quill", lambda m: 4.4 if m > 16 else 2.9, lambda m: 0.01 if m > 16 else 1.5)
    busy(cluster, skip=("till", "quill"))
    cluster.rolled("storefront", tagged("5.2.2"), minutes=28)
    return Story(
        cluster=cluster,
        alert="HighErrorRate",
        summary="more than 20% of till's requests fail",
        labels=about("till"),
        severity="critical",
        fired=13,
        changes=[
            change(
                28,
                "8e11f60c",
                "storefront",
                "New cover pictures",
                version="5.2.2",
                files=["storefront/covers.py"],
                diff="-COVER_SIZE = 180\n+COVER_SIZE = 240\n",
            )
        ],
        truth=truth(
            "dependencies",
            ("api.paylark.example", "external_outage", "external"),
            culprit="none",
            tags=["red_herring"],
            forbidden=[{"culprit_change": "8e11f60c"}],
        ),
    )


def pool(case: str) -> Story:
    """A release of quill forgets to give connections back: its own pool is used up, the database is idle."""
    cluster = shop(case)
    cluster.rolled("quill", tagged("2.8.1"), minutes=33)
    complaints(
        cluster,
        "quill",
        "ERROR quill sqlalchemy.exc.TimeoutError: QueuePool limit of size 5 overflow 10 reached, "
        "connection timed "
        "out, timeout 30.00",
        since=19,
    )
    for pod in cluster.workloads["quill"].pods:
        labels: Doc = {"namespace": NAMESPACE, "pod": pod.name, "service": "quill"}
        cluster.series(
            "db_pool_connections_in_use",
            lambda m: min(15, max(1, (33 - m) * 1.1)),
            hours=0.55,
            noise=0,
            **labels,
        )
        cluster.series("db_pool_connections_max", lambda _: 15, hours=0.55, noise=0, **labels)
    requests(cluster, "quill", lambda m: 4.4 if m > 19 else 0.8, lambda m: 0.01 if m > 19 else 3.4)
    database = cluster.workloads["archive-db"].pods[0]
    cluster.series(
        "pg_stat_activity_count",
        lambda m: 6 if m > 33 else 30,
        noise=0,
        state="idle",
        namespace=NAMESPACE,
        pod=database.name,
        service="archive-db",
    )
    cluster.series(
        "pg_settings_max_connections",
        lambda _: 200,
        noise=0,
        namespace=NAMESPACE,
        pod=database.name,
        service="archive-db",
    )
    busy(cluster, skip=("quill",))
    return Story(
        cluster=cluster,
        alert="HighErrorRate",
        summary="more than 20% of quill's requests fail",
        labels=about("quill"),
        severity="critical",
        fired=17,
        changes=[
            change(
                33,
                "d05f9a3e",
                "quill",
                "Stream the order history",
                version="2.8.1",
                files=["quill/history.py"],
                diff="-    with engine.connect() as connection:\n"
                "-        return connection.execute(HISTORY)\n"
                "+    connection = engine.connect()\n+    return connection.execute(HISTORY)\n",
            ),
        ],
        truth=truth("dependencies", ("quill", "pool_exhausted"), culprit="d05f9a3e", tags=["change"]),
    )


STORIES: Mapping[str, Callable[[str], Story]] = {
    "k8s-dependency-cache": cache,
    "k8s-dependency-outside": outside,
    "k8s-dependency-pool": pool,
}
