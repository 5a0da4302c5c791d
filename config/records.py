"""Where people and their tools keep a record: changes, tickets, runbooks, and osquery's tables."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field, HttpUrl, model_validator

from config.alerts import Basic
from config.types import Duration, Name, Positive, Regex, Section, Text, Token, Url, Whole

OSQUERY_TABLES = (
    "apt_sources",
    "block_devices",
    "cpu_info",
    "cpu_time",
    "deb_packages",
    "disk_encryption",
    "file",
    "groups",
    "interface_addresses",
    "interface_details",
    "kernel_info",
    "kernel_modules",
    "last",
    "listening_ports",
    "load_average",
    "logged_in_users",
    "memory_info",
    "mounts",
    "os_version",
    "process_open_files",
    "process_open_sockets",
    "processes",
    "routes",
    "rpm_packages",
    "startup_items",
    "system_info",
    "systemd_units",
    "time",
    "uptime",
    "users",
)
"""Tables that tell what runs and how a host is, and hold no secret by design."""

OSQUERY_NEVER = frozenset(
    {
        "augeas",
        "authorized_keys",
        "carbon_black_info",
        "carves",
        "certificates",
        "chrome_extension_content_scripts",
        "cookies",
        "curl",
        "curl_certificate",
        "docker_container_envs",
        "docker_containers",
        "ec2_instance_metadata",
        "ec2_instance_tags",
        "file_lines",
        "keychain_acls",
        "keychain_items",
        "lxd_certificates",
        "osquery_flags",
        "parse_ini",
        "parse_json",
        "parse_jsonl",
        "parse_xml",
        "plist",
        "process_envs",
        "process_memory_map",
        "shadow",
        "shell_history",
        "sudoers",
        "user_ssh_keys",
        "yara",
        "yara_events",
    }
)
"""Tables that act (fetch, carve, scan) or show what a file, an environment or a person's shell holds."""

_REPOSITORY = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,38}/[A-Za-z0-9_.-]{1,100}")
_PROJECT = re.compile(r"[0-9]{1,12}|[A-Za-z0-9_.-]{1,200}(?:/[A-Za-z0-9_.-]{1,200}){1,20}")
_BUILD_TYPE = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,224}")
_TABLE = re.compile(r"[a-z][a-z0-9_]{0,63}")
_HOST = re.compile(r"[a-z0-9](?:[a-z0-9.-]{0,252}[a-z0-9])?(?::[0-9]{1,5})?")
_PROJECT_KEY = re.compile(r"[A-Z][A-Z0-9_]{1,254}")


def _repository(value: str) -> str:
    if _REPOSITORY.fullmatch(value) is None or value.rpartition("/")[2] in (".", ".."):
        raise ValueError("not a repository; write owner/name, for example acme/shop")
    return value


def _project(value: str) -> str:
    if _PROJECT.fullmatch(value) is None or {".", ".."} & set(value.split("/")):
        raise ValueError("not a project; write its path, for example acme/web/shop, or its number in quotes")
    return value


def _build_type(value: str) -> str:
    if _BUILD_TYPE.fullmatch(value) is None:
        raise ValueError("not a build configuration; write its ID, for example Shop_Deploy")
    return value


def _table(value: str) -> str:
    if _TABLE.fullmatch(value) is None:
        raise ValueError("not an osquery table; write its name, for example processes")
    if value in OSQUERY_NEVER:
        raise ValueError("may not be asked: such tables act, or show file contents and secrets; remove it")
    return value


def _host(value: str) -> str:
    if _HOST.fullmatch(value) is None:
        raise ValueError("not a host; write for example wiki.example.org, or wiki.example.org:8443")
    return value


def _project_key(value: str) -> str:
    if _PROJECT_KEY.fullmatch(value) is None:
        raise ValueError("not the key of a project; write for example OPS")
    return value


def _absolute(value: str) -> str:
    if not value.startswith("/") or any(char in value for char in "%*?\0") or ".." in value.split("/"):
        raise ValueError("not a path; write it whole and without wildcards, for example /etc/hosts")
    return value


def _folder(value: str) -> str:
    if value.startswith("/") or ".." in value.split("/"):
        raise ValueError("not a folder of the repository; write for example services/cart")
    return value


def _some(value: tuple[Section, ...]) -> tuple[Section, ...]:
    if not value:
        raise ValueError("is empty, so there is nothing to look at; name at least one")
    return value


class CodeOfService(Section):
    """Which service code belongs to. A repository of many services is listed once for each of them."""

    service: Text = Field(description="The service, as alerts name it.")
    environments: tuple[Text, ...] = Field(
        default=(), description="Environments whose deployments count; none: all."
    )
    paths: tuple[Annotated[Text, AfterValidator(_folder)], ...] = Field(
        default=(),
        description="Folders that are this service's; commits that touch nothing in them are left out.",
    )
    branch: Text | None = Field(
        default=None,
        description="Branch whose commits count where no deployment is recorded; unset: the default one.",
    )


class GithubRepository(CodeOfService):
    """A repository and the service it holds."""

    repository: Annotated[Text, AfterValidator(_repository)] = Field(description="As `owner/name`.")


class GithubSource(Section):
    """Deployments, releases and commits of GitHub. Needs read access to code and deployments, no more."""

    name: Name = Field(default="github", description="How evidence names it.")
    url: Url = Field(
        default=HttpUrl("https://api.github.com"),
        description="Base URL of the API; of GitHub Enterprise Server `https://<host>/api/v3`.",
    )
    token: Token | None = Field(default=None, description="Access token; unset: public repositories only.")
    repositories: Annotated[tuple[GithubRepository, ...], AfterValidator(_some)] = Field(
        description="What to look at."
    )
    outsider_writable: bool = Field(
        default=False, description="People outside your trust write commits or their messages here."
    )
    timeout: Duration = Field(default=timedelta(seconds=12), description="For one question.")


class GitlabProject(CodeOfService):
    """A project and the service it holds."""

    project: Annotated[Text, AfterValidator(_project)] = Field(description="Its path or number.")


class GitlabSource(Section):
    """Deployments and commits of GitLab. Needs a token with the scope `read_api`."""

    name: Name = Field(default="gitlab", description="How evidence names it.")
    url: Url = Field(default=HttpUrl("https://gitlab.com"), description="Base URL, without `/api/v4`.")
    token: Token | None = Field(default=None, description="Access token; unset: public projects only.")
    projects: Annotated[tuple[GitlabProject, ...], AfterValidator(_some)] = Field(
        description="What to look at."
    )
    outsider_writable: bool = Field(
        default=False, description="People outside your trust write commits or their messages here."
    )
    timeout: Duration = Field(default=timedelta(seconds=12), description="For one question.")


class TeamcityBuild(Section):
    """A build configuration that deploys a service."""

    build_type: Annotated[Text, AfterValidator(_build_type)] = Field(description="Its ID.")
    service: Text = Field(description="The service, as alerts name it.")
    environment: Text | None = Field(default=None, description="Where it deploys to, as people call it.")


class TeamcitySource(Section):
    """Builds that deploy, and the changes in them. Needs the role *Project viewer*."""

    name: Name = Field(default="teamcity", description="How evidence names it.")
    url: Url = Field(description="Base URL.")
    token: Token = Field(description="Access token.")
    builds: Annotated[tuple[TeamcityBuild, ...], AfterValidator(_some)] = Field(
        description="What to look at."
    )
    timeout: Duration = Field(default=timedelta(seconds=12), description="For one question.")


class FleetSource(Section):
    """osquery on hosts, through Fleet. Needs a token of the role *Observer+*. Only single SELECTs are sent,
    rewritten from what was understood of them."""

    name: Name = Field(default="fleet", description="How evidence names it.")
    url: Url = Field(description="Base URL.")
    token: Token = Field(description="API token.")
    hosts: tuple[Regex, ...] = Field(
        default=(), description="Names of hosts that Fleet knows, matched whole; none: every host."
    )
    aliases: dict[str, Text] = Field(
        default_factory=dict, description="What Fleet calls a host that alerts name otherwise."
    )
    tables: tuple[Annotated[Text, AfterValidator(_table)], ...] = Field(
        default=OSQUERY_TABLES,
        description="Tables that may be asked. Of `file` only exact paths.",
    )
    files: tuple[Annotated[Text, AfterValidator(_absolute)], ...] = Field(
        default=(), description="Files whose metadata is looked at."
    )
    max_rows: Positive = Field(default=500, le=5_000, description="Rows kept of one answer.")
    timeout: Duration = Field(default=timedelta(seconds=15), description="For one question.")


class JiraSource(Section):
    """Tickets about a service, from Jira Cloud. Needs an account that may browse the projects."""

    name: Name = Field(default="jira", description="How evidence names it.")
    url: Url = Field(description="Base URL, for example `https://acme.atlassian.net`.")
    auth: Basic = Field(description="E-mail address and API token.")
    projects: tuple[Annotated[Text, AfterValidator(_project_key)], ...] = Field(
        default=(), description="Keys of projects to look in; none: all it may see."
    )
    by_label: bool = Field(
        default=False, description="A ticket's label names its service; otherwise its text is searched."
    )
    days: Whole = Field(default=30, ge=1, le=3_650, description="How old the last update may be.")
    outsider_writable: bool = Field(
        default=True, description="People outside your trust, such as customers, write tickets here."
    )
    timeout: Duration = Field(default=timedelta(seconds=10), description="For one question.")


class RunbookHost(Section):
    """A web server that runbooks are read from, over HTTPS only."""

    host: Annotated[Text, AfterValidator(_host)] = Field(
        description="Its name exactly as in the address, with the port unless it is 443."
    )
    private: bool = Field(
        default=False, description="It may have a private or loopback address; otherwise that is refused."
    )
    bearer: Token | None = Field(default=None, description="Token for `Authorization: Bearer`.")
    basic: Basic | None = Field(default=None, description="HTTP basic authentication.")

    @model_validator(mode="after")
    def _one_way_in(self) -> RunbookHost:
        if self.bearer is not None and self.basic is not None:
            raise ValueError("gives two ways to log in; keep bearer or basic")
        return self


class Runbooks(Section):
    """Texts behind the `runbook_url` of alerts and routes. What they say is read, never obeyed."""

    hosts: tuple[RunbookHost, ...] = Field(default=(), description="Servers they are fetched from.")
    ca_file: Path | None = Field(
        default=None, description="Certificates trusted for these hosts; unset: the system's."
    )
    directory: Path | None = Field(
        default=None, description="Folder of runbooks; an address without scheme is a path in it."
    )
    base_url: Url | None = Field(
        default=None, description="Addresses below this one are read from `directory` instead."
    )
    max_bytes: Whole = Field(
        default=262_144, ge=1024, le=8_388_608, description="Size of one runbook; the rest is left out."
    )
    outsider_writable: bool = Field(default=False, description="People outside your trust write them.")
    timeout: Duration = Field(default=timedelta(seconds=8), description="For one runbook.")

    @model_validator(mode="after")
    def _somewhere(self) -> Runbooks:
        if not self.hosts and self.directory is None:
            raise ValueError("names nowhere to read from; give hosts or directory")
        if self.base_url is not None and self.directory is None:
            raise ValueError("has a base_url and no folder to read instead; give directory")
        return self
