"""What policy says: risk by rule, and a guard that turns an engine's answer into a decision.

Default deny; a deny wins; an error, a timeout, an undefined or malformed answer denies. Nothing that changes
the world is ever allowed without a person.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from approvals.catalogue import action_class
from approvals.document import (
    PolicyQuestion,
    PolicySettings,
    RiskSettings,
    check_document,
    environments,
    input_document,
    is_data_plane,
    labels,
    policy_data,
)
from approvals.model import Decision, DecisionKind, Requirement, Strength
from approvals.ports import PolicyEngine
from bot.domain.alert import Criticality
from bot.domain.errors import AssentError, InputError
from bot.domain.incident import Incident
from bot.domain.proposal import ActionSpec, Risk, Target

__all__ = [
    "PolicyGuard",
    "PolicyQuestion",
    "PolicySettings",
    "RiskSettings",
    "compute_risk",
    "policy_data",
    "stricter",
]

MAX_COUNT = 20
_RISKS = (Risk.LOW, Risk.MEDIUM, Risk.HIGH)
_ANSWER_KEYS = frozenset({"allow", "deny", "require", "rules"})


def compute_risk(spec: ActionSpec, target: Target, incident: Incident, settings: RiskSettings) -> Risk:
    """Return the risk of an action on a target, from typed fields alone.

    Starts at the catalogue's base risk. A target that holds data, or on which ``high_blast_radius`` things
    depend, is high. Each of these raises it by one step: the label ``criticality`` is critical or high;
    the environment is production; at least half of the high blast radius.
    """
    if spec.read_only:
        return spec.base_risk
    if is_data_plane(target, incident, settings) or target.blast_radius >= settings.high_blast_radius:
        return Risk.HIGH
    steps = (
        Criticality.of(labels(target, incident)) is not None,
        any(name in settings.production_environments for name in environments(target, incident)),
        target.blast_radius * 2 >= settings.high_blast_radius,
    )
    return _RISKS[min(spec.base_risk.rank + sum(steps), len(_RISKS) - 1)]


def stricter(requirements: Sequence[Requirement]) -> Requirement | None:
    """Combine requirements: the highest count, the strongest means, and only roles that all of them name.

    ``approver:*`` in one of them stands for every class. None when no role is left, or for no requirements:
    then nobody could approve.
    """
    if not requirements:
        return None
    roles = set(requirements[0].roles)
    for requirement in requirements[1:]:
        roles = {
            narrower
            for one in roles
            for other in requirement.roles
            if (narrower := _narrower(one, other)) is not None
        }
    if not roles:
        return None
    return Requirement(
        count=max(requirement.count for requirement in requirements),
        roles=tuple(sorted(roles)),
        strength=max(requirement.strength for requirement in requirements),
    )


def _narrower(one: str, other: str) -> str | None:
    if one == other or (other == "approver:*" and one.startswith("approver:")):
        return one
    return other if one == "approver:*" and other.startswith("approver:") else None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rule:
    id: str
    reason: str | None
    requirement: Requirement | None = None


class _Malformed(Exception):
    """The engine's answer is not of the agreed shape."""


class PolicyGuard:
    """Asks an engine and trusts nothing it does not say clearly. ``timeout_s`` is in seconds."""

    def __init__(self, engine: PolicyEngine, timeout_s: float, risk: RiskSettings | None = None) -> None:
        self._engine = engine
        self._timeout = timeout_s
        self._risk = risk or RiskSettings()

    @property
    def policy_hash(self) -> str:
        return self._engine.policy_hash

    async def decide(self, question: PolicyQuestion) -> Decision:
        """Return what policy says; never raises for an engine that fails: that is a denial."""
        document = input_document(question, self._risk)
        try:
            check_document(document)
        except InputError as error:
            return self._deny("guard:input", f"policy was not asked: {error}")
        try:
            async with asyncio.timeout(self._timeout):
                answer = await self._engine.evaluate(document)
        except TimeoutError:
            return self._deny("guard:timeout", f"policy did not answer within {self._timeout:g} s")
        except AssentError as error:
            return self._deny("guard:error", f"policy could not be evaluated: {error}")
        except Exception as error:  # noqa: BLE001 - whatever breaks in an engine, the answer is no, with its name
            return self._deny("guard:error", f"policy could not be evaluated: {type(error).__name__}")
        try:
            return self._decision(question, answer)
        except _Malformed as error:
            return self._deny("guard:answer", f"policy answered in a form that is not agreed: {error}")

    def _decision(self, question: PolicyQuestion, answer: Mapping[str, Any]) -> Decision:
        if not isinstance(answer, Mapping):
            raise _Malformed("the answer is not an object")
        unknown = ", ".join(sorted(str(key) for key in set(answer) - _ANSWER_KEYS))
        if unknown:
            raise _Malformed(f"unknown: {unknown}")
        allow = answer.get("allow", False)
        if not isinstance(allow, bool):
            raise _Malformed("allow is not a boolean")
        denials = [_denial(item) for item in _items(answer, "deny")]
        required = [_required(item) for item in _items(answer, "require")]
        fired = [_word(item, "rules") for item in _items(answer, "rules")]
        if denials:
            return self._decide(DecisionKind.DENY, denials)
        if not allow:
            return self._deny("guard:default-deny", "no rule of the policy allows this")
        if question.spec.read_only and not required:
            return self._decide(DecisionKind.ALLOW, [_Rule(id=rule, reason=None) for rule in fired])
        requirement = stricter([rule.requirement for rule in required if rule.requirement is not None])
        if required and requirement is None:
            return self._deny(
                "guard:no-common-role", "the policy's rules ask for roles that no one role meets"
            )
        if requirement is None:
            requirement = self._default(question)
            required = [_Rule(id="guard:default-review", reason="every change needs at least one approval")]
        # A reaction is the chat server's word alone, whatever a policy says.
        if question.risk is Risk.HIGH and requirement.strength < Strength.COMMAND:
            requirement = Requirement(
                count=requirement.count, roles=requirement.roles, strength=Strength.COMMAND
            )
            required.append(
                _Rule(id="guard:high-risk", reason="a high risk cannot be approved by a reaction")
            )
        rules = [*required, *(_Rule(id=rule, reason=None) for rule in fired)]
        return self._decide(DecisionKind.REQUIRE_REVIEW, rules, requirement)

    def _default(self, question: PolicyQuestion) -> Requirement:
        role = f"approver:{action_class(question.action.name)}"
        return Requirement(count=1, roles=(role,), strength=Strength.REACTION)

    def _deny(self, rule: str, reason: str) -> Decision:
        return self._decide(DecisionKind.DENY, [_Rule(id=rule, reason=reason)])

    def _decide(
        self, kind: DecisionKind, rules: Sequence[_Rule], requirement: Requirement | None = None
    ) -> Decision:
        return Decision(
            kind=kind,
            rules=tuple(dict.fromkeys(rule.id for rule in rules)),
            reasons=tuple(dict.fromkeys(rule.reason for rule in rules if rule.reason)),
            policy_hash=self._engine.policy_hash,
            requirement=requirement,
        )


def _items(answer: Mapping[str, Any], key: str) -> Sequence[Any]:
    value = answer.get(key, ())
    if not isinstance(value, list | tuple | set | frozenset):
        raise _Malformed(f"{key} is not a set")
    return tuple(value)


def _word(value: Any, where: str) -> str:
    if not isinstance(value, str) or not value:
        raise _Malformed(f"{where} holds something that is not text")
    return value


def _denial(value: Any) -> _Rule:
    if not isinstance(value, Mapping) or set(value) != {"id", "reason"}:
        raise _Malformed("a deny must have exactly id and reason")
    return _Rule(id=_word(value["id"], "deny"), reason=_word(value["reason"], "deny"))


def _required(value: Any) -> _Rule:
    needed = {"id", "count", "roles", "strength"}
    if not isinstance(value, Mapping) or set(value) - {"reason"} != needed:
        raise _Malformed("a require must have id, count, roles, strength, and may have a reason")
    count, roles = value["count"], value["roles"]
    if isinstance(count, bool) or not isinstance(count, int) or not 1 <= count <= MAX_COUNT:
        raise _Malformed(f"a require's count must be from 1 to {MAX_COUNT}")
    if not isinstance(roles, list | tuple | set | frozenset) or not roles:
        raise _Malformed("a require must name at least one role")
    try:
        strength = Strength.parse(_word(value["strength"], "require"))
    except KeyError:
        raise _Malformed("a require's strength is not a known word") from None
    return _Rule(
        id=_word(value["id"], "require"),
        reason=_word(value["reason"], "require") if "reason" in value else None,
        requirement=Requirement(
            count=count, roles=tuple(sorted({_word(role, "require") for role in roles})), strength=strength
        ),
    )
