"""Certificates that ran out, and clocks that make good ones look bad."""

from __future__ import annotations

import pytest

from tests.investigators.platform.build import NOW, line, step, track, world
from tests.investigators.platform.cases import Case, case, judge, no, unknown
from tests.investigators.platform.objects import app, at, service, thing

SHOP = [
    service("cart", port=443, target=8443, ip="10.96.5.5"),
    *app("cart", ports=[8443]),
    *app("front", ip="10.244.3.3", node="node-2"),
]
GO = (
    'Get "https://cart:443/": tls: failed to verify certificate: '
    "x509: certificate has expired or is not yet valid: "
    "current time 2026-03-01T11:55:00Z is after 2026-02-28T23:59:59Z"
)
EARLY = GO.replace("is after 2026-02-28T23:59:59Z", "is before 2026-03-01T12:30:00Z")
EPOCH = NOW.timestamp()


def _certificate(until: str | None, **status: object) -> object:
    return thing(
        "cert-manager.io/v1",
        "Certificate",
        "cart-tls",
        spec={"secretName": "cart-tls", "dnsNames": ["cart.example"]},
        status={**({"notAfter": until} if until else {}), **status},
    )


SERVED = app("cart", template={"volumes": [{"name": "tls", "secret": {"secretName": "cart-tls"}}]})
INGRESS = thing(
    "networking.k8s.io/v1",
    "Ingress",
    "shop",
    spec={
        "tls": [{"hosts": ["cart.example"], "secretName": "cart-tls"}],
        "rules": [
            {
                "http": {
                    "paths": [
                        {"path": "/", "backend": {"service": {"name": "cart", "port": {"number": 443}}}}
                    ]
                }
            }
        ],
    },
)
NOT_READY = {
    "conditions": [{"type": "Ready", "status": "False", "message": "Issuing certificate: no such issuer"}]
}
CASES = [
    *[
        case(f"as {who} writes it", world(SHOP, logs={"front": [text]}), "certificate_expiry", least=0.85)
        for who, text in {
            "Go": GO,
            "Python": "requests.exceptions.SSLError: HTTPSConnectionPool(host='cart', port=443): "
            "Max retries exceeded "
            "(Caused by SSLError(SSLCertVerificationError(1, '[SSL: CERTIFICATE_VERIFY_FAILED] "
            "certificate verify "
            "failed: certificate has expired (_ssl.c:1007)')))",
            "Node": "FetchError: request to https://cart/ failed, reason: certificate has expired "
            "CERT_HAS_EXPIRED",
            "Java": 'I/O error on POST request for "https://cart:443/": PKIX path validation failed: '
            "java.security.cert.CertPathValidatorException: validity check failed",
            "nginx": "SSL_do_handshake() failed (SSL: error:0A000086:SSL routines::certificate "
            "verify failed: "
            "certificate has expired) while SSL handshaking to upstream, client: 10.1.1.1, upstream: "
            '"https://10.96.5.5:443/"',
        }.items()
    ],
    case(
        "the other side refuses our own",
        world(SHOP, logs={"front": ['Post "https://cart:443/": remote error: tls: expired certificate']}),
        "certificate_expiry",
        "front",
        says=("that front shows",),
    ),
    case(
        "a server refuses its client's",
        world(
            SHOP,
            logs={
                "cart": [
                    "client SSL certificate verify error: (10:certificate has expired) while reading "
                    "client request headers, client: 10.244.3.3, server: cart"
                ]
            },
        ),
        "certificate_expiry",
        "front",
    ),
    case(
        "nobody named",
        world(SHOP, logs={"front": ["x509: certificate has expired"]}),
        "certificate_expiry",
        "front",
    ),
    case(
        "a provider outside",
        world(SHOP, logs={"front": [GO.replace("cart:443", "api.stripe.com")]}),
        "certificate_expiry",
        "api.stripe.com",
        "external",
    ),
    case(
        "a probe's metric",
        world(tracks=[track("probe_ssl_earliest_cert_expiry", [EPOCH - 60], "cart")]),
        "certificate_expiry",
        says=("2026-03-01",),
    ),
    case("cert-manager's object, mounted", world(SERVED, _certificate(at(60))), "certificate_expiry"),
    case(
        "cert-manager's object, named by an Ingress",
        world(SHOP, INGRESS, _certificate(at(60))),
        "certificate_expiry",
    ),
    no("one that is good for months", world(SERVED, _certificate(at(-90 * 1440))), "certificate_expiry"),
    no(
        "one that is not valid yet is the clock's trouble",
        world(SHOP, logs={"front": [EARLY]}),
        "certificate_expiry",
    ),
    no("long ago", world(SHOP, lines=[line(GO, service="front", minutes=55)]), "certificate_expiry"),
    no(
        "one that was renewed",
        world(SHOP, logs={"cart": ["certificate renewed, valid until 2027-03-01"]}),
        "certificate_expiry",
        absent=True,
    ),
    unknown("a cut log", world(SHOP, logs={"cart": ["fine"]}, log_cut="cut"), "certificate_expiry"),
    case(
        "ends in three days",
        world(tracks=[track("probe_ssl_earliest_cert_expiry", [EPOCH + 3 * 86400], "cart")]),
        "certificate_expiring",
        says=("3 days",),
    ),
    no(
        "ends next year",
        world(tracks=[track("probe_ssl_earliest_cert_expiry", [EPOCH + 300 * 86400], "cart")]),
        "certificate_expiring",
    ),
    no("no such metric at all", world(SHOP), "certificate_expiring"),
    case(
        "never issued",
        world(SERVED, _certificate(None, **NOT_READY)),
        "certificate_not_issued",
        says=("no such issuer",),
    ),
    no("issued", world(SERVED, _certificate(at(-90 * 1440), **NOT_READY)), "certificate_not_issued"),
    no("no Certificate at all", world(SERVED), "certificate_not_issued"),
    case("a certificate of the future", world(SHOP, logs={"front": [EARLY]}), "clock_skew", "front"),
    case(
        "a token of the future", world(SHOP, logs={"cart": ["oidc: token used before issued"]}), "clock_skew"
    ),
    case(
        "AWS",
        world(
            SHOP,
            logs={
                "cart": [
                    "An error occurred (RequestTimeTooSkewed) when calling PutObject: The "
                    "difference between the request time and the "
                    "current time is too large."
                ]
            },
        ),
        "clock_skew",
    ),
    case(
        "PyJWT",
        world(
            SHOP, logs={"cart": ["jwt.exceptions.ImmatureSignatureError: The token is not yet valid (iat)"]}
        ),
        "clock_skew",
    ),
    case(
        "several services of one node",
        world(
            SHOP,
            app("mail"),
            logs={
                "cart": ["oidc: token used before issued"],
                "mail": ["Clock moved backwards. Refusing to generate id"],
            },
        ),
        "clock_skew",
        "node-1",
        "node",
    ),
    case(
        "a node's own offset",
        world(tracks=[track("node_timex_offset_seconds", step(0, 4.2), "node-1", kind="node")]),
        "clock_skew",
        "node-1",
        "node",
        says=("4.2 s",),
    ),
    no(
        "an offset of a millisecond",
        world(tracks=[track("node_timex_offset_seconds", step(0, 0.001), "node-1", kind="node")]),
        "clock_skew",
    ),
    no(
        "a token that expired is no clock's fault",
        world(SHOP, logs={"cart": ["token expired, logging out"]}),
        "clock_skew",
        absent=True,
    ),
    unknown("nothing was read", world(SHOP), "clock_skew"),
]


@pytest.mark.parametrize("one", CASES, ids=lambda one: f"{one.kind}: {one.name}")
def test_certificates_are_charged_to_the_side_that_shows_them(one: Case) -> None:
    judge(one)
