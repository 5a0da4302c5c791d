"""Every kind of source at once, each a server of its own: one shop in which two things are broken.

``cart`` does not start because a Secret is missing, which only the cluster can show. ``payments`` refuses
customers since a deploy, which only its log and the diff on the forge can show together. Everything that
describes them holds a password (``secret``) of its own.
"""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import kubernetes_asyncio.config  # noqa: F401 - loads for a second, which no test should pay for
from aiohttp import web
from aiohttp.test_utils import TestServer

from tests.servers import fleet, github, jira
from tests.servers.api import Api, dropping, flooding, hanging, saying
from tests.servers.history import Commit, History, sha
from tests.servers.kubernetes_api import KubernetesApi
from tests.servers.loki import Loki
from tests.servers.ports import free_port
from tests.servers.prometheus import Prometheus
from tests.servers.spans import Span
from tests.servers.tempo import Tempo
from tests.servers.trouble import serving
from tests.servers.wiki import Wiki, certificate

SOURCES = ("prometheus", "loki", "tempo", "kubernetes", "github", "fleet", "jira", "runbooks")
HOST = "web-1"
STILL_HOLDS = "sum by (service) (orders_failed_total) > 0"
NONSENSE = json.dumps(
    {
        "status": "success",
        "kind": "PodList",
        "data": {"resultType": "streams", "result": [{"metric": 7, "stream": [], "values": "now"}]},
        "items": [7, None, {"metadata": "x"}],
        "traces": "many",
        "issues": {"all": "well"},
        "rows": 3,
    }
)
"""Half right for each of them and right for none."""


def password(part: str) -> str:
    """A text that holds the part's secret, as people write passwords."""
    return f"password={secret(part)}"


def secret(part: str) -> str:
    return f"hunter2canary{part.replace('_', '')}"


SECRETS = (
    "metric", "log", "span", "env", "kube_annotation", "event", "secret", "config_map", "pod_log", "osquery",
    "diff", "commit", "ticket", "runbook", "annotation", "label",
)  # fmt: skip


@dataclass(slots=True)
class Surroundings:
    """The servers, and where the service shall look for each: ``urls`` by source, and what it trusts."""

    directory: Path
    now: datetime = field(default_factory=lambda: datetime.now(UTC))
    urls: dict[str, str] = field(default_factory=dict)
    wiki_port: int = 0
    certificate: Path = Path()
    wiki: Wiki = field(default_factory=Wiki)

    def evidence(self, *, deadline: str = "10s") -> str:
        """The configuration's section."""
        here = self.urls
        sections: dict[str, Any] = {
            "deadline": deadline,
            "loki": [{"url": here["loki"]}],
            "traces": [{"name": "tempo", "kind": "tempo", "url": here["tempo"]}],
            "kubernetes": [{"url": here["kubernetes"]}],
            "github": [
                {
                    "url": here["github"],
                    "token": github.TOKEN,
                    "repositories": [{"repository": "acme/shop", "service": "payments"}],
                }
            ],
            "fleet": [{"url": here["fleet"], "token": fleet.TOKEN}],
            "jira": [{"url": here["jira"], "auth": {"username": jira.EMAIL, "password": jira.TOKEN}}],
            "runbooks": {
                "hosts": [{"host": f"localhost:{self.wiki_port}", "private": True}],
                "ca_file": str(self.certificate),
            },
        }
        if "prometheus" in here:
            sections["prometheus"] = [{"url": here["prometheus"]}]
        return f"evidence: {json.dumps(sections)}\n"

    def sources(self) -> list[str]:
        """Those that are there: Prometheus only where it is installed."""
        return [source for source in SOURCES if source in self.urls or source == "runbooks"]

    def runbook(self, service: str) -> str:
        return f"https://localhost:{self.wiki_port}/{service}"

    def alert(self, service: str, name: str, **labels: str) -> dict[str, Any]:
        """As Alertmanager sends it, firing for two minutes."""
        return {
            "status": "firing",
            "labels": {
                "alertname": name,
                "severity": "critical",
                "namespace": "shop",
                "service": service,
                "instance": f"{HOST}:9100",
                "dsn": f"postgres://app:{secret('label')}@db/shop",
                **labels,
            },
            "annotations": {
                "summary": f"{service} is in trouble {password('annotation')}",
                "runbook_url": self.runbook(service),
            },
            "startsAt": ago(self.now, minutes=2),
            "endsAt": "0001-01-01T00:00:00Z",
            "generatorURL": f"http://prometheus.example/graph?{urlencode({'g0.expr': STILL_HOLDS})}",
            "fingerprint": f"{service}-{name}",
        }


def ago(now: datetime, **delta: float) -> str:
    return (now - timedelta(**delta)).strftime("%Y-%m-%dT%H:%M:%SZ")


@asynccontextmanager
async def surroundings(directory: Path) -> AsyncIterator[Surroundings]:
    """All of them, healthy. A real Prometheus where there is one."""
    made = Surroundings(directory=directory)
    now = made.now
    async with AsyncExitStack() as stack:
        cluster = KubernetesApi(now=now)
        fill_cluster(cluster, now)
        made.urls["kubernetes"] = await stack.enter_async_context(cluster.serving())
        loki = await stack.enter_async_context(Loki())
        fill_loki(loki, now)
        made.urls["loki"] = loki.url
        tempo = await stack.enter_async_context(Tempo())
        tempo.spans += spans(now)
        made.urls["tempo"] = tempo.url
        made.urls["github"] = await stack.enter_async_context(serving(forge(now).app()))
        row = (7, 1, "cart", "/bin/cart", f"cart --{password('osquery')}", "S", 0, 0, 1, 9, 9, 1, 1, 0, 0)
        hosts = fleet.Fleet(hosts=[fleet.Host(hostname=HOST, rows={"processes": [row]})])
        made.urls["fleet"] = await stack.enter_async_context(serving(hosts.app()))
        tickets = [
            jira.Ticket(key="SHOP-1", summary=f"{name} {password('ticket')}", updated=now)
            for name in ("cart", "payments")
        ]
        made.urls["jira"] = await stack.enter_async_context(serving(jira.Jira(tickets=tickets).app()))
        text = f"# What to do\n1. Log in with {password('runbook')}\n"
        made.wiki.pages |= {f"/{name}": ("text/markdown", text) for name in ("cart", "payments")}
        made.certificate = await asyncio.to_thread(certificate, directory)
        made.wiki_port = await stack.enter_async_context(made.wiki.serving(made.certificate))
        if shutil.which("prometheus") is not None:
            exporter = await stack.enter_async_context(exporting())
            prometheus = await stack.enter_async_context(
                Prometheus(scrape={"shop": [f"127.0.0.1:{exporter.port}"]})
            )
            await prometheus.until('orders_failed_total{service="cart"}')
            made.urls["prometheus"] = prometheus.url
        yield made


@asynccontextmanager
async def exporting() -> AsyncIterator[TestServer]:
    """Metrics of the shop."""
    url = f"postgres://app:{secret('metric')}@db/shop"
    lines = [f'orders_failed_total{{service="{name}",dsn="{url}"}} 3\n' for name in ("cart", "payments")]

    async def metrics(request: web.Request) -> web.Response:
        return web.Response(text="".join(lines), content_type="text/plain")

    app = web.Application()
    app.router.add_get("/metrics", metrics)
    async with TestServer(app) as server:
        yield server


@asynccontextmanager
async def broken(made: Surroundings, source: str, how: str) -> AsyncIterator[None]:
    """One source down, slow, lying, flooding or dropping the line; the others stay as they are."""
    if source == "runbooks":
        made.wiki.trouble.kind = {"down": "503", "slow": "slow", "lying": "redirect"}.get(how, how)
        yield
        made.wiki.trouble.kind = ""
        return
    good = made.urls[source]
    faults = {
        "slow": hanging,
        "lying": saying(200, NONSENSE, "application/json"),
        "flood": flooding,
        "drop": dropping,
    }
    async with Api() as api:
        if how == "down":
            made.urls[source] = f"http://127.0.0.1:{free_port()}"
        else:
            api.fault = faults[how]
            made.urls[source] = api.url
        yield
    made.urls[source] = good


def fill_cluster(api: KubernetesApi, now: datetime) -> None:
    """Deployment cart, whose only pod waits for a Secret that is not there; payments, which runs."""
    api.put({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}})
    api.put(
        {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {"name": "n1"},
            "status": {"conditions": [{"type": "Ready", "status": "True"}]},
        }
    )
    for name in ("cart", "payments"):
        runs = name == "payments"
        container: dict[str, Any] = {
            "name": name,
            "image": f"shop/{name}:1",
            "env": [{"name": "DB_PASSWORD", "value": secret("env")}],
        }
        if not runs:
            container["envFrom"] = [{"secretRef": {"name": "cart-db"}}]
        template = {"metadata": {"labels": {"app": name}}, "spec": {"containers": [container]}}
        notes = {"example.org/login": password("kube_annotation")}
        selector = {"matchLabels": {"app": name}}
        spec = {"replicas": 1, "selector": selector, "template": template}
        ready = int(runs)
        deployment = api.put(
            _object("apps/v1", "Deployment", name, notes, spec=spec, status={"readyReplicas": ready})
        )
        owner = _owner(deployment)
        rs = api.put(_object("apps/v1", "ReplicaSet", f"{name}-5d9f8b6c5", notes, owner, spec=spec))
        state: dict[str, Any] = {"running": {"startedAt": ago(now, days=1)}}
        if not runs:
            waits = {"reason": "CreateContainerConfigError", "message": 'secret "cart-db" not found'}
            state = {"waiting": waits}
        status = {
            "phase": "Running" if runs else "Pending",
            "conditions": [{"type": "Ready", "status": str(runs)}],
            "containerStatuses": [{"name": name, "ready": runs, "restartCount": 0, "state": state}],
        }
        pod = _object(
            "v1", "Pod", f"{name}-5d9f8b6c5-x2x4z", notes, _owner(rs),
            spec={"nodeName": "n1", **template["spec"]}, status=status,
        )  # fmt: skip
        pod["metadata"]["labels"] = {"app": name}
        api.put(pod)
        line = (now - timedelta(minutes=1), f"ERROR {name} cannot log in {password('pod_log')}")
        api.log("shop", f"{name}-5d9f8b6c5-x2x4z", name, [line])
    event = _object(
        "v1", "Event", "cart.1", {}, type="Warning", reason="Failed", count=9,
        message=f'Error: secret "cart-db" not found {password("event")}',
        involvedObject={"kind": "Pod", "namespace": "shop", "name": "cart-5d9f8b6c5-x2x4z"},
        firstTimestamp=ago(now, minutes=4), lastTimestamp=ago(now, minutes=1),
    )  # fmt: skip
    api.put(event)
    api.put(_object("v1", "Secret", "other", {}, type="Opaque", data={"key": secret("secret")}))
    api.put(_object("v1", "ConfigMap", "settings", {}, data={"key": secret("config_map")}))


def _object(
    api_version: str, kind: str, name: str, annotations: Mapping[str, str],
    owner: Mapping[str, Any] | None = None, **parts: Any,
) -> dict[str, Any]:  # fmt: skip
    metadata: dict[str, Any] = {"name": name, "namespace": "shop"}
    if annotations:
        metadata["annotations"] = dict(annotations)
    if owner is not None:
        metadata["ownerReferences"] = [dict(owner)]
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata, **parts}


def _owner(document: Mapping[str, Any]) -> dict[str, Any]:
    metadata = document["metadata"]
    return {
        "apiVersion": document["apiVersion"],
        "kind": document["kind"],
        "name": metadata["name"],
        "uid": metadata["uid"],
        "controller": True,
    }


def fill_loki(loki: Loki, now: datetime) -> None:
    """Payments fails since the deploy; cart says nothing, for it does not run."""
    for number in range(24):
        at = now - timedelta(seconds=10 + number * 8)
        text = (
            f"error: order {number}: connection pool exhausted: timed out after 5s waiting for a connection"
        )
        loki.push(at, text, service_name="payments", namespace="shop", pod="payments-5d9f8b6c5-x2x4z")
    loki.push(
        now - timedelta(seconds=9),
        f"error: retry with {password('log')}",
        service_name="payments",
        namespace="shop",
    )


def spans(now: datetime) -> list[Span]:
    """Calls of payments that fail."""
    return [
        Span(
            trace=f"{number:032x}",
            id=f"{number:016x}",
            service="payments",
            operation=f"POST /charge?token={secret('span')}",
            start=now - timedelta(seconds=10 + number),
            ms=12,
            error=True,
            attributes={"db.password": secret("span")},
        )
        for number in range(1, 20)
    ]


def forge(now: datetime) -> github.GitHub:
    """One deploy, four minutes ago, that sets what the log complains about."""
    patch = "@@ -3,3 +3,3 @@\n database:\n-  max_open_connections: 40\n+  max_open_connections: 2\n"
    bad = {
        "payments/database.yaml": patch,
        "payments/login.yaml": f"@@ -1 +1 @@\n-user: app\n+{password('diff')}",
    }
    docs = {"README.md": "@@ -1 +1 @@\n-Shop\n+The shop\n"}
    before = now - timedelta(minutes=300)
    history = History(
        commits=[
            Commit(sha=sha("a"), at=before, message="Begin"),
            Commit(sha=sha("b"), at=now - timedelta(minutes=9), message="Say what this is", files=docs),
            Commit(
                sha=sha("c"),
                at=now - timedelta(minutes=8),
                message=f"Spare the database, log in with {password('commit')}",
                files=bad,
            ),
        ]
    )
    return github.GitHub(
        history=history,
        deployments=[
            github.Deployment(id=1, at=before, sha=sha("a")),
            github.Deployment(id=2, at=now - timedelta(minutes=6), sha=sha("c")),
        ],
    )
