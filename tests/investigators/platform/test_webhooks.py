"""Admission webhooks that do not answer, and those that only deny."""

from __future__ import annotations

import pytest

from tests.investigators.platform.build import world
from tests.investigators.platform.cases import Case, case, judge, no
from tests.investigators.platform.objects import Object, app, event, service, thing

CART = [service("cart"), *app("cart")]


def _hook(policy: str = "Fail") -> Object:
    hook = {
        "name": "validate.guard.io",
        "failurePolicy": policy,
        "clientConfig": {"service": {"namespace": "guard", "name": "guard"}},
    }
    kind = "ValidatingWebhookConfiguration"
    return thing("admissionregistration.k8s.io/v1", kind, "guard", namespace="", webhooks=[hook])


GUARD = service("guard", namespace="guard", port=443)
DEAF = [GUARD, *app("guard", namespace="guard", ready=False)]
CALLING = (
    'Error creating: Internal error occurred: failed calling webhook "validate.guard.io": failed to call '
    "webhook: Post "
    '"https://guard.guard.svc:443/validate?timeout=10s": '
)
ABOUT = ("ReplicaSet", "cart-5d9c7b6f4")

CASES = [
    *[
        case(
            f"events: {why}",
            world(CART, GUARD, _hook(), event("FailedCreate", CALLING + why, ABOUT)),
            "webhook_unavailable",
            "guard",
            least=0.9,
            says=("validate.guard.io", ABOUT[1]),
        )
        for why in (
            "context deadline exceeded",
            "dial tcp 10.96.4.4:443: connect: connection refused",
            'no endpoints available for service "guard"',
            "x509: certificate signed by unknown authority",
        )
    ],
    case(
        "nobody behind one that must be asked",
        world(CART, DEAF, _hook()),
        "webhook_unavailable",
        "guard",
        least=0.5,
    ),
    case(
        "a log of whoever was stopped",
        world(CART, GUARD, logs={"cart": [CALLING + "context deadline exceeded"]}),
        "webhook_unavailable",
        "guard",
    ),
    no("nobody behind one that need not be asked", world(CART, DEAF, _hook("Ignore")), "webhook_unavailable"),
    no(
        "one that denied",
        world(
            CART,
            GUARD,
            _hook(),
            app("guard", namespace="guard"),
            event(
                "FailedCreate", 'admission webhook "validate.guard.io" denied the request: no limits', ABOUT
            ),
        ),
        "webhook_unavailable",
    ),
    no(
        "long ago",
        world(
            CART,
            GUARD,
            app("guard", namespace="guard"),
            _hook(),
            event("FailedCreate", CALLING + "EOF", ABOUT, minutes=300),
        ),
        "webhook_unavailable",
    ),
    no("pods unknown", world(CART, GUARD, _hook(), failed=["Pod"]), "webhook_unavailable"),
]


@pytest.mark.parametrize("one", CASES, ids=lambda one: f"{one.kind}: {one.name}")
def test_a_webhook_that_does_not_answer_is_charged_to_its_service(one: Case) -> None:
    judge(one)
