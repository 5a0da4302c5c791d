"""Invented incidents that a change of configuration, of a dependency or of a deployment caused."""

# ruff: noqa: E501
from __future__ import annotations

from tests.investigators.changes.incident import Incident, Log, Metric, change

INCIDENTS = (
    Incident(
        name="kubernetes memory limit lowered",
        service="render",
        alert="render pods OOMKilled",
        logs=(Log(service="render", text="OOMKilled: container render exceeded its memory limit", count=5),),
        metrics=(Metric(service="render", name="kube_pod_container_status_restarts_total", usual=0, now=14),),
        changes=(
            change("good", 22, "deploy/render/values.yaml", """
   resources:
     limits:
-      memory: 2Gi
+      memory: 512Mi
       cpu: "1"
""", service="render", title="right-size render"),
            change("decoy", 9, "render/src/main.rs", '-    info!("start");\n+    info!("render starts");', service="render", title="log text"),
        ),
        culprit="good",
    ),
    Incident(
        name="java client timeout lowered",
        service="checkout",
        alert="checkout failures",
        logs=(
            Log(service="checkout", text="java.net.SocketTimeoutException: Read timed out calling tax"),
            Log(service="tax", text="client closed connection before response", level="warning"),
        ),
        metrics=(Metric(service="checkout", name="http_client_errors_ratio", usual=0.001, now=0.5),),
        calls=(("checkout", "tax"),),
        changes=(
            change("good", 32, "checkout/src/main/resources/application.yml", """
 clients:
   tax:
-    read-timeout: 2500ms
+    read-timeout: 250ms
""", service="checkout", title="tune clients"),
            change("decoy", 8, "tax/src/main/java/TaxTable.java", '-        put("DE", 19);\n+        put("DE", 19); put("AT", 20);', service="tax", title="Austria"),
        ),
        culprit="good",
    ),
    Incident(
        name="database host misspelt",
        service="inventory",
        alert="inventory down",
        logs=(Log(service="inventory", text="could not translate host name \"inventory-db.prod.svc\" to address: Name or service not known"),),
        changes=(
            change("good", 12, "deploy/inventory/env.yaml", """
-  DATABASE_URL: postgres://inventory@inventory-db.production.svc:5432/inventory
+  DATABASE_URL: postgres://inventory@inventory-db.prod.svc:5432/inventory
""", service="inventory", title="shorter namespace"),
            change("decoy", 30, "inventory/app.py", '-app = FastAPI()\n+app = FastAPI(title="inventory")', service="inventory", title="title"),
        ),
        culprit="good",
    ),
    Incident(
        name="probe path that does not exist",
        service="admin",
        alert="admin has no ready replicas",
        logs=(Log(service="admin", text="Readiness probe failed: HTTP probe failed with statuscode: 404", level="warning"),),
        metrics=(Metric(service="admin", name="kube_deployment_status_replicas_ready", usual=3, now=0),),
        changes=(
            change("good", 9, "k8s/admin.yaml", """
         readinessProbe:
           httpGet:
-            path: /healthz
+            path: /health/ready
             port: 8080
""", service="admin", title="use the ready endpoint"),
            change("decoy", 50, "admin/src/theme.tsx", '-  primary: "#123"\n+  primary: "#124"', service="admin", title="colour"),
        ),
        culprit="good",
    ),
    Incident(
        name="terraform security group closes the database",
        service="reservation",
        alert="reservation cannot reach its database",
        logs=(Log(service="reservation", text="connect ETIMEDOUT 10.2.3.4:5432"),),
        changes=(
            change("good", 14, "infra/network.tf", """
 resource "aws_security_group_rule" "db" {
   type        = "ingress"
   from_port   = 5432
   to_port     = 5432
-  cidr_blocks = ["10.0.0.0/8"]
+  cidr_blocks = ["10.1.0.0/16"]
 }
""", title="tighten database access", kind="config"),
            change("decoy", 7, "reservation/seat.py", "-    return seats[0]\n+    return min(seats)", service="reservation", title="lowest seat"),
        ),
        culprit="good",
    ),
    Incident(
        name="role loses a verb",
        service="operator",
        alert="operator reconcile errors",
        logs=(Log(service="operator", text='configmaps is forbidden: User "system:serviceaccount:ops:operator" cannot list resource "configmaps" in API group ""'),),
        changes=(
            change("good", 25, "charts/operator/templates/role.yaml", """
   - apiGroups: [""]
     resources: ["configmaps"]
-    verbs: ["get", "list", "watch"]
+    verbs: ["get"]
""", service="operator", title="least privilege"),
            change("decoy", 8, "operator/reconcile.go", "-\treturn ctrl.Result{}, nil\n+\treturn ctrl.Result{RequeueAfter: time.Minute}, nil", service="operator", title="requeue"),
        ),
        culprit="good",
    ),
    Incident(
        name="python library renamed a function",
        service="forecast",
        alert="forecast crash loop",
        logs=(Log(service="forecast", text="AttributeError: module 'pandas' has no attribute 'Panel'; forecast failed to start"),),
        metrics=(Metric(service="forecast", name="pod_restarts_total", usual=0, now=8),),
        changes=(
            change("good", 11, "forecast/requirements.txt", "-pandas==0.24.2\n+pandas==1.5.3", service="forecast", title="update requirements"),
            change("decoy", 16, "forecast/requirements-dev.txt", "-black==23.1.0\n+black==24.2.0", title="dev tools"),
        ),
        culprit="good",
    ),
    Incident(
        name="npm update changes a signature algorithm",
        service="sessions",
        alert="sessions rejects tokens",
        logs=(Log(service="sessions", text="JsonWebTokenError: invalid algorithm"),),
        metrics=(Metric(service="sessions", name="http_401_ratio", usual=0.01, now=0.8),),
        changes=(
            change("good", 21, "sessions/package.json", '-    "jsonwebtoken": "^8.5.1",\n+    "jsonwebtoken": "^9.0.0",', service="sessions", title="bump jsonwebtoken"),
            change("decoy", 6, "sessions/src/logout.ts", '-  res.redirect("/");\n+  res.redirect("/login");', service="sessions", title="after logout"),
        ),
        culprit="good",
    ),
    Incident(
        name="retries without backoff",
        service="sync",
        alert="partner-api rate limits sync",
        logs=(Log(service="sync", text="HTTP 429 Too Many Requests from contacts backend, attempt {n}", level="warning", count=40),),
        metrics=(Metric(service="sync", name="outgoing_requests_per_sec", usual=40, now=900),),
        changes=(
            change("good", 30, "sync/client.py", """
-    @retry(stop=stop_after_attempt(3), wait=wait_exponential(multiplier=1))
+    @retry(stop=stop_after_attempt(10))
     def push(self, contact):
""", service="sync", title="try harder"),
            change("decoy", 9, "sync/model.py", "-    name: str\n+    name: str = \"\"", service="sync", title="name optional"),
        ),
        culprit="good",
    ),
    Incident(
        name="debug logging fills the disk",
        service="broker",
        alert="broker disk almost full",
        logs=(
            Log(service="broker", text="write /var/log/broker.log: no space left on device", count=4),
            Log(service="broker", text="frame dump channel {n}", level="debug", count=60, before=60),
        ),
        metrics=(Metric(service="broker", name="node_filesystem_used_percent", usual=40, now=100, before=60, slowly=True),),
        changes=(
            change("good", 63, "ansible/broker/log.conf", "-log.console.level = info\n+log.console.level = debug", service="broker", title="see what happens"),
            change("decoy", 8, "ansible/broker/motd", "-Welcome\n+Welcome to the broker", title="motd"),
        ),
        culprit="good",
    ),
    Incident(
        name="pool of connections made too small",
        service="booking",
        alert="booking latency",
        logs=(Log(service="booking", text="HikariPool-1 - Connection is not available, request timed out after 30000ms"),),
        metrics=(Metric(service="booking", name="hikaricp_connections_pending", usual=0, now=85),),
        changes=(
            change("good", 45, "booking/src/main/resources/application.properties", "-spring.datasource.hikari.maximum-pool-size=40\n+spring.datasource.hikari.maximum-pool-size=4", service="booking", title="tidy datasource"),
            change("decoy", 6, "booking/src/main/java/Room.java", "-  private int beds;\n+  private final int beds;", service="booking", title="final"),
        ),
        culprit="good",
    ),
    Incident(
        name="feature flag turns on what is not ready",
        service="cart",
        alert="cart errors",
        logs=(Log(service="cart", text="bundle_discounts: rule engine returned no rule for basket {n}"),),
        changes=(
            change("good", 7, "", kind="flag", title="bundle_discounts").__class__(
                id="good", kind="flag", at=change("x", 7, "").at, service="cart", title="bundle_discounts", before="off", after="on"
            ),
            change("decoy", 20, "cart/basket.py", "-    total = sum(prices)\n+    total = math.fsum(prices)", service="cart", title="fsum"),
        ),
        culprit="good",
    ),
    Incident(
        name="environment variable dropped from a manifest",
        service="uploader",
        alert="uploader does not start",
        logs=(Log(service="uploader", text="panic: required environment variable S3_BUCKET is not set"),),
        metrics=(Metric(service="uploader", name="pod_restarts_total", usual=0, now=6),),
        changes=(
            change("good", 9, "deploy/uploader.yaml", """
           env:
-            - name: S3_BUCKET
-              value: uploads-prod
             - name: REGION
               value: eu-west-1
""", service="uploader", title="clean env"),
            change("decoy", 18, "uploader/part.go", "-const partSize = 5 << 20\n+const partSize = 8 << 20", service="uploader", title="larger parts"),
        ),
        culprit="good",
    ),
)
