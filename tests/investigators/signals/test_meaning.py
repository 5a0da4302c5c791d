"""What names of series mean, in the styles of many systems."""

from __future__ import annotations

import pytest

from investigators.signals.meaning import Meaning, is_counter, is_headroom, meaning_of, words_of


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("http_request_duration_seconds", ("http", "request", "duration", "seconds")),
        ("PodServerLatencyP90(s)", ("pod", "server", "latency", "p90", "s")),
        ("HTTPCode_Target_5XX_Count", ("http", "code", "target", "5xx", "count")),
        ("trace.servlet.request.hits", ("trace", "servlet", "request", "hits")),
        ("requestLatencyMs", ("request", "latency", "ms")),
        ("request-success-rate", ("request", "success", "rate")),
        ("MemoryUsage(MB)", ("memory", "usage", "mb")),
        ("", ()),
        ("···", ()),
    ],
)
def test_a_name_is_split_into_its_words(name: str, words: tuple[str, ...]) -> None:
    assert words_of(name) == words


PROMETHEUS = {
    "istio_request_duration_milliseconds": Meaning.LATENCY,
    "http_server_requests_seconds_max": Meaning.LATENCY,
    "grpc_server_handling_seconds": Meaning.LATENCY,
    "nginx_ingress_controller_response_duration_seconds": Meaning.LATENCY,
    "envoy_cluster_upstream_rq_time": Meaning.LATENCY,
    "envoy_cluster_upstream_rq_5xx": Meaning.ERRORS,
    "dial_timeouts": Meaning.ERRORS,
    "kube_deployment_status_replicas_unavailable": Meaning.ERRORS,
    "up": Meaning.SUCCESS,
    "probe_success": Meaning.SUCCESS,
    "istio_requests_total": Meaning.TRAFFIC,
    "apiserver_request_total": Meaning.TRAFFIC,
    "container_cpu_usage_seconds_total": Meaning.CPU,
    "node_load1": Meaning.CPU,
    "container_memory_rss": Meaning.MEMORY,
    "node_filesystem_avail_bytes": Meaning.DISK,
    "node_disk_io_time_seconds": Meaning.DISK,
    "container_network_receive_bytes_total": Meaning.NETWORK,
    "hikaricp_connections_active": Meaning.CONNECTIONS,
    "redis_connected_clients": Meaning.CONNECTIONS,
    "workqueue_depth": Meaning.QUEUE,
    "process_open_fds": Meaning.THREADS,
    "go_goroutines": Meaning.THREADS,
    "kube_pod_container_status_restarts_total": Meaning.RESTARTS,
    "process_start_time_seconds": Meaning.OTHER,
}
CLOUDWATCH = {
    "TargetResponseTime": Meaning.LATENCY,
    "SuccessfulRequestLatency": Meaning.LATENCY,
    "Duration": Meaning.LATENCY,
    "HTTPCode_Target_5XX_Count": Meaning.ERRORS,
    "SystemErrors": Meaning.ERRORS,
    "StatusCheckFailed": Meaning.ERRORS,
    "UnHealthyHostCount": Meaning.ERRORS,
    "Availability": Meaning.SUCCESS,
    "RequestCount": Meaning.TRAFFIC,
    "Invocations": Meaning.TRAFFIC,
    "CPUUtilization": Meaning.CPU,
    "FreeableMemory": Meaning.MEMORY,
    "ThrottledRequests": Meaning.THROTTLING,
    "Throttles": Meaning.THROTTLING,
    "ApproximateAgeOfOldestMessage": Meaning.QUEUE,
    "IteratorAge": Meaning.QUEUE,
    "DatabaseConnections": Meaning.CONNECTIONS,
    "WriteIOPS": Meaning.DISK,
    "NetworkIn": Meaning.NETWORK,
}
DATADOG = {
    "trace.servlet.request.duration": Meaning.LATENCY,
    "trace.http.request.errors": Meaning.ERRORS,
    "trace.http.request.hits": Meaning.TRAFFIC,
    "system.cpu.user": Meaning.CPU,
    "system.load.1": Meaning.CPU,
    "system.mem.used": Meaning.MEMORY,
    "jvm.heap_memory": Meaning.MEMORY,
    "kubernetes.containers.restarts": Meaning.RESTARTS,
}
OTHERS = {
    "http.server.request.duration": Meaning.LATENCY,
    "db.client.connections.usage": Meaning.CONNECTIONS,
    "ResponseTimeP99(ms)": Meaning.LATENCY,
    "checkout.p999": Meaning.LATENCY,
    "avg_rt": Meaning.LATENCY,
    "request_time": Meaning.LATENCY,
    "requestsPerSecond": Meaning.TRAFFIC,
    "requests.per.second": Meaning.TRAFFIC,
    "tps": Meaning.TRAFFIC,
    "errorRate": Meaning.ERRORS,
    "http_401_unauthorized_ratio": Meaning.ERRORS,
    "http5xx": Meaning.ERRORS,
    "SuccessRate(%)": Meaning.SUCCESS,
    "NodeMemoryUsageRate(%)": Meaning.MEMORY,
    "error_budget_remaining": Meaning.OTHER,
    "batch_500_rows": Meaning.OTHER,
    "": Meaning.OTHER,
}


@pytest.mark.parametrize(
    ("name", "meaning"),
    [pair for style in (PROMETHEUS, CLOUDWATCH, DATADOG, OTHERS) for pair in style.items()],
)
def test_the_words_of_a_name_say_what_it_measures(name: str, meaning: Meaning) -> None:
    assert meaning_of(name) is meaning


@pytest.mark.parametrize("word", ["500", "404", "per", "second"])
def test_a_bare_word_of_an_alert_is_no_symptom(word: str) -> None:
    """“slower than 500 ms” speaks of no error."""
    assert meaning_of(word) is Meaning.OTHER


def test_only_names_of_counters_are_counters() -> None:
    names = ("a_total", "a_count", "a_sum", "a", "total_a", "a_bucket", "account")
    assert [is_counter(name) for name in names] == [True, True, True, False, False, False, False]


@pytest.mark.parametrize(
    ("name", "left"),
    [
        ("FreeableMemory", True),
        ("node_memory_MemAvailable_bytes", True),
        ("node_cpu_seconds_total{mode=idle}", True),
        ("container_spec_memory_limit_bytes", True),
        ("container_memory_working_set_bytes", False),
        ("CPUUtilization", False),
    ],
)
def test_what_is_left_of_a_resource_is_told_from_what_is_used(name: str, left: bool) -> None:
    assert is_headroom(name) is left
