"""Faults that come from where something runs: addresses, rights, limits, probes, the network."""

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


_MANIFEST = re.compile(
    r"\.(?:ya?ml|json|tf|hcl|toml|properties|ini|conf|cfg|env|xml)$|(?:^|/)(?:Dockerfile|\.env|Procfile)",
    re.I,
)


def _readdressed(diff: Diff) -> Hit | None:
    """Another host or port in a setting or a literal."""
    gone, come = _hosts(diff.removed_text), _hosts(diff.added_text)
    if gone == come or not (gone - come):
        return None
    names = tuple(sorted({host for host, _ in (come - gone) | (gone - come)}))
    old, new = (", ".join(sorted(map(_address, some)))[:40] for some in (gone - come, come - gone))
    what = f"{old} → {new or 'gone'}"
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
            switches(
                rx(
                    r"serviceAccount|role|policy|origin|principal|acl\b|permission|\bverbs|resources|actions|effect"
                ),
                0.9,
            ),
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
                switches(
                    rx(
                        r"selector|^app$|targetPort|^name$|matchLabels|host|ingressClass|subset|destination|upstream|backend|cluster"
                    ),
                    0.9,
                ),
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
            switches(rx(r"cidr|source_ranges|security_groups?|allowed_|allow_?list|ipBlock|whitelist"), 0.9),
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
        name="setting_changed",
        says="sets something to another value",
        detect=either(
            in_files(_MANIFEST, switches(re.compile(r"."), 0.6, unnamed=0.5)),
            in_files(_MANIFEST, tunes(re.compile(r"."), down=None, strength=0.45, least=2)),
        ),
        explains=fits(
            "not_registered 0.7, errors 0.6, connection_refused 0.6, startup_crash 0.7, missing_setting 0.8, "
            "deserialisation 0.5, auth_rejected 0.5, permission 0.5, latency 0.5, "
            "tls 0.5, method_rejected 0.6, "
            "queue_backlog 0.6, name_resolution 0.6, memory 0.4, cpu 0.4, "
            "rate_limited 0.5, pool_exhausted 0.5, "
            "deadline_exceeded 0.5, probe_failing 0.5, wrong_result 0.4, cache 0.5, load 0.4"
        ),
    ),
    Mechanism(
        name="shutdown_changed",
        says="ends without waiting for what is under way",
        detect=either(
            loses(rx(r"\bshutdown\w*\(|graceful|drain|preStop|SIGTERM"), 0.9),
            tunes(rx(r"terminationGracePeriod|grace_?period|drain|shutdown"), down=True, strength=0.9),
        ),
        explains=fits(
            "connection_refused 1, errors 0.7, queue_backlog 0.4, data_race 0.3, deadline_exceeded 0.3"
        ),
    ),
)
