"""Faults that come from where and with what something runs: addresses, rights, limits, versions."""

from __future__ import annotations

import re

from investigators.changes.diffs import Diff
from investigators.changes.mechanisms.base import (
    Hit,
    Mechanism,
    either,
    exact,
    fits,
    gains,
    in_files,
    loses,
    rx,
    switches,
    tunes,
)

_PROBE = rx(r"probe|health|initialDelay|periodSeconds|failureThreshold|grace_?period|start_period")


_HOSTLIKE = re.compile(
    r"(?:[a-z][a-z0-9+.\-]*://)?(?:[\w.\-]+(?::[^@\s/]*)?@)?((?:[a-z0-9\-]+\.)+[a-z]{2,}"
    r"|localhost|\d{1,3}(?:\.\d{1,3}){3}|[a-z][a-z0-9\-]+(?=:\d{2,5}\b))(?::(\d+))?",
    re.I,
)


_DEPENDENCIES = re.compile(
    r"(?:^|/)(?:go\.(?:mod|sum)|package(?:-lock)?\.json|requirements[^/]*\.(?:txt|in)"
    r"|pyproject\.toml|poetry\.lock|Pipfile(?:\.lock)?|pom\.xml"
    r"|build\.gradle(?:\.kts)?|Cargo\.(?:toml|lock)|Gemfile(?:\.lock)?|composer\.json"
    r"|yarn\.lock|pnpm-lock\.yaml|[^/]+\.csproj|Chart\.ya?ml"
    r"|versions\.tf|mix\.exs|uv\.lock|libs\.versions\.toml)$"
)


_REQUIREMENT = re.compile(
    r"[\"']?([@A-Za-z][\w.\-/@]*(?::[\w.\-]+)?)[\"']?(?:\[[\w,]+\])?\s*(?:[=<>~^!:]{1,3}"
    r"|\s)\s*[\"'(]?[\^~>=<v]*\s*(\d+(?:\.\d+)+[\w.\-+]*)"
)


_TAG = re.compile(r"<(\w[\w.\-]*)>(\d+(?:\.\d+)+[\w.\-]*)</")


_IMAGE = re.compile(
    r"^\s*(?:FROM"
    r"|-?\s*image:)\s+[\"']?([\w.\-/:]+?)(?::([\w.\-]+))?(?:@\S+)?[\"']?(?:\s+[Aa][Ss]\s+\w+)?\s*$",
    re.M,
)


_MANIFEST = re.compile(
    r"\.(?:ya?ml|json|tf|hcl|toml|properties|ini|conf|cfg|env|xml)$|(?:^|/)(?:Dockerfile|\.env|Procfile)",
    re.I,
)


def _bumped(diff: Diff) -> Hit | None:
    """A dependency with another version, or without one; the larger the step the surer."""
    if not any(_DEPENDENCIES.search(file) for file in diff.files):
        return None
    before, after = _requirements(diff.removed), _requirements(diff.added)
    best: Hit | None = None
    for name, version in before.items():
        now = after.get(name)
        if now == version:
            continue
        sure = 0.9 if now is None else _step(version, now)
        told = f"{name} {version} → {now or 'gone'}"
        hit = Hit(strength=sure, what=told, names=_module_names(name), unnamed=0.3)
        best = hit if best is None or hit.strength > best.strength else best
    if best is None:
        return None
    every = tuple(part for name in before if after.get(name) != before[name] for part in _module_names(name))
    return Hit(
        strength=best.strength, what=best.what, names=tuple(dict.fromkeys(every)), unnamed=best.unnamed
    )


def _requirements(lines: tuple[str, ...]) -> dict[str, str]:
    found = {}
    for line in lines:
        if match := _TAG.search(line) or _REQUIREMENT.search(line):
            found[match[1].strip("\"'")] = match[2]
    return found


def _step(before: str, after: str) -> float:
    old, new = ([int(part) for part in re.findall(r"\d+", text)[:3]] for text in (before, after))
    if old[:1] != new[:1]:
        return 1.0
    return 0.95 if old[1:2] != new[1:2] and (old[0] == 0 or abs(new[1] - old[1]) >= 1) else 0.5


def _module_names(name: str) -> tuple[str, ...]:
    """What an error would call a module: the last part of its path that is no version, and its parts."""
    parts = [
        part
        for part in re.split(r"[/:@]", name)
        if part and not re.match(r"v\d+\Z", part) and "." not in part
    ]
    last = parts[-1:] or [name.rsplit("/", 1)[-1]]
    pieces = [piece for piece in re.split(r"[\-_.]", last[0]) if len(piece) > 3]
    return tuple(dict.fromkeys((*last, *pieces)))


def _base_image(diff: Diff) -> Hit | None:
    old, new = _IMAGE.search(diff.removed_text), _IMAGE.search(diff.added_text)
    if old is None or new is None or (old[1], old[2]) == (new[1], new[2]):
        return None
    return Hit(
        strength=0.9,
        what=f"{old[0].strip()} → {new[0].strip()}",
        names=(new[2] or new[1], new[1].rsplit("/", 1)[-1]),
        unnamed=0.7,
    )


def _readdressed(diff: Diff) -> Hit | None:
    """Another host or port in a setting or a literal."""
    gone, come = _hosts(diff.removed_text), _hosts(diff.added_text)
    if gone == come or not (gone - come):
        return None
    names = tuple(sorted({host for host, _ in (come - gone) | (gone - come)}))
    what = f"{', '.join(sorted(map(_address, gone - come)))[:40]} → {', '.join(sorted(map(_address, come - gone)))[:40] or 'gone'}"
    return Hit(strength=1.0, what=what, names=names, unnamed=0.45)


def _hosts(text: str) -> set[tuple[str, str]]:
    found = set()
    for match in _HOSTLIKE.finditer(text):
        host = match[1]
        start = text[max(0, match.start() - 1) : match.start()]
        url = (
            "://" in match[0]
            or match[2]
            or re.search(
                r"(?:host|url|addr|endpoint|server|dsn|smtp|broker)\w*[\"']?\s*[:=]",
                text[max(0, match.start() - 40) : match.start()],
                re.I,
            )
        )
        if (
            url
            and start not in (".", "@")
            and not re.search(r"\.(?:go|py|js|ts|java|ya?ml|json|md|proto|sql)\Z", host)
        ):
            found.add((host.lower(), match[2] or ""))
    return found


def _address(one: tuple[str, str]) -> str:
    return f"{one[0]}:{one[1]}" if one[1] else one[0]


def _setting_gone(diff: Diff) -> Hit | None:
    """An environment variable, secret or key of configuration that is no longer given, or newly demanded."""
    given = re.compile(
        r"^\s*-?\s*(?:name:\s*|export\s+|ENV\s+)?[\"']?([A-Z][A-Z0-9]*_[A-Z0-9_]+)\b"
        r"|\bsecretKeyRef|\bconfigMapKeyRef",
        re.M,
    )
    asked = re.compile(
        r"(?:getenv|environ(?:\.get)?|process\.env|env::var|System\.getenv"
        r"|GetEnvironmentVariable|viper\.Get\w*|mustEnv|requireEnv"
        r"|@Value)\W{0,4}[\"'.(${]*([\w.]+)"
    )
    gone = {match[1] or match[0].strip() for match in given.finditer(diff.removed_text)} - {
        match[1] or match[0].strip() for match in given.finditer(diff.added_text)
    }
    new = {m[1] for m in asked.finditer(diff.added_text)} - {m[1] for m in asked.finditer(diff.removed_text)}
    if any(_MANIFEST.search(file) for file in diff.files) and gone:
        return Hit(
            strength=1.0,
            what=f"without {', '.join(sorted(gone))[:60]}",
            names=tuple(sorted(gone)),
            unnamed=0.5,
        )
    return (
        Hit(
            strength=0.9, what=f"demands {', '.join(sorted(new))[:60]}", names=tuple(sorted(new)), unnamed=0.3
        )
        if new
        else None
    )


MECHANISMS: tuple[Mechanism, ...] = (
    Mechanism(
        name="rights_changed",
        says="takes away or demands rights",
        detect=either(
            loses(
                exact(
                    r"\bverbs:|\bGRANT\b|\bClusterRole|\bapiGroups:|\bresources:|\"(?:s3|iam|sqs|sns|kms"
                    r"|dynamodb|secretsmanager|ec2):\w+\*?\"|\brole_arn\b|\bserviceAccount\w*"
                    r"|Access-Control-Allow|allow_origins|\bALLOWED_\w+"
                ),
                1.0,
            ),
            gains(
                rx(
                    r"\bREVOKE\b|readOnlyRootFilesystem:\s*true|runAsNonRoot:\s*true|runAsUser|\"Deny\""
                    r"|drop:|\bUSER\s+\w+|chmod|enable_rls|ROW LEVEL SECURITY|nonroot"
                ),
                0.9,
            ),
            in_files(
                _MANIFEST,
                loses(
                    exact(
                        r"^\s*-\s*[\"']?(?:get|list|watch|create|update|patch|delete|\*)[\"']?\s*$"
                        r"|^\s*-\s*[\"']?https?://"
                    ),
                    0.9,
                ),
            ),
            switches(rx(r"serviceAccount|role|policy|origin|principal|acl\b|permission"), 0.9),
        ),
        explains=fits(
            "permission 1, auth_rejected 0.4, startup_crash 0.5, errors 0.2, disk_full 0.2, "
            "not_registered 0.2"
        ),
    ),
    Mechanism(
        name="memory_limit_lowered",
        says="gets less memory",
        detect=tunes(
            rx(r"memory|\bmem\b|-?Xmx|heap|old[_-]space|GOMEMLIMIT|shared_buffers"),
            down=True,
            strength=1.0,
            unless=rx(r"cpu"),
        ),
        explains=fits("memory 1, startup_crash 0.6, errors 0.2, latency 0.2"),
    ),
    Mechanism(
        name="cpu_limit_lowered",
        says="gets less processor time",
        detect=tunes(
            rx(r"\bcpus?\b|GOMAXPROCS|cpu_?(?:limit|request|shares|quota)"),
            down=True,
            strength=1.0,
            unless=rx(r"memory"),
        ),
        explains=fits("cpu 1, latency 0.8, probe_failing 0.5, deadline_exceeded 0.5, startup_crash 0.3"),
    ),
    Mechanism(
        name="fewer_replicas",
        says="runs on fewer replicas",
        detect=tunes(
            rx(
                r"replicas?|min_?(?:size|capacity|instances)|max_?(?:size|capacity|instances)"
                r"|desired_(?:capacity|count)|instance_count"
            ),
            down=True,
        ),
        explains=fits(
            "latency 0.8, cpu 0.8, queue_backlog 0.8, connection_refused 0.6, "
            "rate_limited 0.3, memory 0.4, errors 0.3"
        ),
    ),
    Mechanism(
        name="files_limit_lowered",
        says="may open fewer files",
        detect=tunes(rx(r"nofile|ulimit|max_?files|fd_?limit|pids_?limit"), down=True),
        explains=fits("fd_leak 1, thread_leak 0.8, connection_refused 0.3"),
    ),
    Mechanism(
        name="probe_changed",
        says="is probed differently",
        detect=either(
            tunes(_PROBE, down=None, strength=0.95, least=1.05),
            switches(rx(r"probe|health|\bpath\b|readiness|liveness"), 0.9),
        ),
        explains=fits("probe_failing 1, startup_crash 0.7, connection_refused 0.4, method_rejected 0.5"),
    ),
    Mechanism(
        name="port_changed",
        says="listens or is looked for elsewhere",
        detect=either(
            tunes(
                rx(r"\bport\b|containerPort|targetPort|listen|EXPOSE|bind|\baddr"),
                down=None,
                strength=1.0,
                least=1.0001,
            ),
            in_files(
                _MANIFEST,
                switches(rx(r"selector|^app$|targetPort|^name$|matchLabels|host|ingressClass"), 0.9),
            ),
        ),
        explains=fits(
            "connection_refused 1, probe_failing 0.9, startup_crash 0.3, not_registered 0.3, "
            "deadline_exceeded 0.4"
        ),
    ),
    Mechanism(
        name="network_closed",
        says="closes a way through the network",
        detect=either(
            gains(
                rx(
                    r"kind:\s*NetworkPolicy|policyTypes|default-?deny|\bDENY\b|\bDROP\b|iptables"
                    r"|PeerAuthentication|mode:\s*STRICT"
                ),
                0.95,
            ),
            in_files(
                re.compile(r"\.tf$|security|firewall|network|polic", re.I),
                loses(
                    rx(
                        r"\bingress\b|\begress\b|cidr\w*|from_port|to_port|allow\b|namespaceSelector"
                        r"|podSelector|\bport:"
                    ),
                    0.9,
                ),
            ),
        ),
        explains=fits(
            "deadline_exceeded 1, connection_refused 0.9, name_resolution 0.6, "
            "probe_failing 0.4, permission 0.3"
        ),
    ),
    Mechanism(
        name="address_changed",
        says="talks to another address",
        detect=_readdressed,
        explains=fits(
            "name_resolution 1, connection_refused 1, deadline_exceeded 0.8, tls 0.6, "
            "auth_rejected 0.5, permission 0.4, method_rejected 0.4, not_registered 0.4, "
            "schema_missing 0.4, errors 0.4, missing_setting 0.3"
        ),
    ),
    Mechanism(
        name="resolver_changed",
        says="resolves names differently",
        detect=either(
            gains(rx(r"dnsPolicy|\bndots\b|nameserver|resolv\.conf|Corefile|dnsConfig|hostAliases"), 0.9),
            switches(rx(r"dnsPolicy|ndots|nameserver|resolver|forward"), 1.0),
            loses(rx(r"dnsPolicy|nameserver|\bforward \.|kubernetes cluster\.local|resolver"), 0.95),
            tunes(rx(r"ndots|dns"), down=None, strength=0.9),
        ),
        explains=fits("name_resolution 1, deadline_exceeded 0.4, latency 0.4"),
    ),
    Mechanism(
        name="setting_missing",
        says="lacks or demands a setting",
        detect=_setting_gone,
        explains=fits(
            "missing_setting 1, startup_crash 0.8, nil_dereference 0.4, auth_rejected 0.6, "
            "connection_refused 0.4, errors 0.3, deserialisation 0.4"
        ),
    ),
    Mechanism(
        name="tls_changed",
        says="secures connections differently",
        detect=either(
            switches(rx(r"tls|ssl|cert|\bca\b|ca_|verify|cipher|sni|keystore|truststore|secretName"), 0.95),
            tunes(rx(r"min_?version|tls|ssl"), down=None, strength=0.9, least=1.01),
            loses(
                rx(
                    r"ca[_-]?(?:cert|bundle|file)|RootCAs|truststore|ca-certificates|caBundle|ServerName"
                    r"|InsecureSkipVerify|verify\s*=\s*False"
                ),
                0.95,
            ),
            gains(
                exact(
                    r"\bMinVersion\b.*1[23]|\bVersionTLS13\b|\bverify\s*=\s*True"
                    r"|rejectUnauthorized:\s*true|ssl_protocols"
                ),
                0.9,
            ),
        ),
        explains=fits("tls 1, connection_refused 0.5, auth_rejected 0.3, errors 0.2"),
    ),
    Mechanism(
        name="route_changed",
        says="serves or calls another path",
        detect=switches(re.compile(r"[\"'`]?/[\w{}:.\-]+(?:/[\w{}:.\-]*)*"), 0.85),
        explains=fits("method_rejected 1, not_registered 0.8, probe_failing 0.5, errors 0.2"),
    ),
    Mechanism(
        name="dependency_changed",
        says="brings another version of a dependency",
        detect=_bumped,
        explains=fits(
            "dependency_conflict 1, startup_crash 0.9, nil_dereference 0.5, "
            "deserialisation 0.7, tls 0.6, auth_rejected 0.6, memory 0.6, errors 0.5, "
            "latency 0.4, cpu 0.5, encoding 0.6, method_rejected 0.4, connection_refused 0.3"
        ),
    ),
    Mechanism(
        name="image_changed",
        says="runs on another image",
        detect=_base_image,
        explains=fits(
            "dependency_conflict 1, startup_crash 0.9, tls 0.6, permission 0.6, "
            "missing_setting 0.3, encoding 0.3"
        ),
    ),
)
