"""Runbooks: text from listed hosts and from a folder, and from nowhere else."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.evidence.runbooks import RunbookTexts
from adapters.evidence.runbooks.fetch import is_public
from adapters.evidence.runbooks.text import html_text
from bot.domain.errors import Unavailable
from bot.domain.evidence import Evidence, EvidenceStatus
from config.schema import Runbooks
from investigators.queries import RunbookQuery
from tests.adapters.evidence.changes_world import WINDOW
from tests.contracts.record_contract import check_failed, check_source
from tests.fakes.evidence import FixedClock
from tests.servers.ports import free_port
from tests.servers.trouble import serving
from tests.servers.wiki import Wiki, certificate

CANARY = "hunter2hunter2"
TOKEN = "wiki0token0wiki0token"
MARKDOWN = "# The shop is down\n\n1. Look at the pool.\n2. Call Ada.\n"


@pytest.fixture(scope="module")
def cert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return certificate(tmp_path_factory.mktemp("wiki"))


@asynccontextmanager
async def runbooks(**config: Any) -> AsyncIterator[RunbookTexts]:
    async with aiohttp.ClientSession() as session:
        yield RunbookTexts(Runbooks.model_validate(config), session, FixedClock())


@asynccontextmanager
async def wiki(
    server: Wiki, cert: Path, *, name: str = "localhost", private: bool = True, **more: Any
) -> AsyncIterator[tuple[RunbookTexts, str]]:
    """The source, and the base address of the server."""
    async with server.serving(cert) as port:
        host = {"host": f"{name}:{port}", "private": private, **more.pop("login", {})}
        async with runbooks(hosts=[host], ca_file=cert, **more) as source:
            yield source, f"https://{name}:{port}"


async def read(source: RunbookTexts, url: str) -> Evidence:
    return await source.ask(RunbookQuery(url=url), WINDOW, "shop")


def text_of(evidence: Evidence) -> str:
    assert evidence.status is EvidenceStatus.OK, evidence.reason
    return "\n".join(line.text for line in evidence.lines)


def page(text: str, kind: str = "text/markdown") -> Wiki:
    return Wiki(pages={"/shop": (kind, text)})


async def test_it_keeps_the_contract(cert: Path, tmp_path: Path) -> None:
    async with wiki(page(MARKDOWN), cert, login={"bearer": TOKEN}) as (source, base):
        query = RunbookQuery(url=f"{base}/shop#pool")
        found = await check_source(source, query, WINDOW, secrets=[TOKEN])
        assert text_of(found) == MARKDOWN.strip()
        assert found.link == query.url
        assert not found.outsider_writable
    (tmp_path / "shop.md").write_text(MARKDOWN)
    async with runbooks(directory=tmp_path) as source:
        found = await check_source(source, RunbookQuery(url="shop.md"), WINDOW, secrets=[])
        assert text_of(found) == MARKDOWN.strip()
        assert found.link is None


async def test_html_is_read_without_its_markup(cert: Path) -> None:
    markup = """<!doctype html><html><head><title>T</title><style>x{}</style></head><body>
    <script>alert(1)</script><h1>The shop &amp; its pool</h1><p>Look at <b>the
    pool</b>.</p><ul><li>first</li><li>second</li></ul><pre>kubectl get pods
  -n shop</pre></body></html>"""
    async with wiki(page(markup, "text/html; charset=utf-8"), cert) as (source, base):
        found = await read(source, f"{base}/shop")
        text = text_of(found)
    assert found.records == ({"format": "html"},)
    assert text == (
        "# The shop & its pool\nLook at the pool.\n- first\n- second\nkubectl get pods\n  -n shop"
    )


async def test_the_name_is_asked_for_and_its_certificate_checked(cert: Path) -> None:
    server = page(MARKDOWN)
    async with wiki(server, cert) as (source, base):
        text_of(await read(source, f"{base}/shop"))
    assert server.hosts == [base.removeprefix("https://")]
    async with server.serving(cert) as port:
        host = {"host": f"localhost:{port}", "private": True}
        async with runbooks(hosts=[host]) as source:
            found = await read(source, f"https://localhost:{port}/shop")
    check_failed(found, kind="runbook.text", source="runbooks", reason="certificate is not trusted")


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1"])
async def test_a_private_address_is_refused_unless_it_is_listed_as_one(cert: Path, name: str) -> None:
    server = page(MARKDOWN)
    async with wiki(server, cert, name=name, private=False) as (source, base):
        found = await read(source, f"{base}/shop")
        with pytest.raises(Unavailable, match="has a private or loopback address"):
            await source.probe()
    check_failed(found, kind="runbook.text", source="runbooks", reason="private or loopback address")
    assert server.trouble.asked == []


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("192.0.2.1", False),
        ("8.8.8.8", True),
        ("10.1.2.3", False),
        ("172.16.0.1", False),
        ("192.168.1.1", False),
        ("127.0.0.1", False),
        ("169.254.169.254", False),
        ("100.64.0.1", False),
        ("0.0.0.0", False),
        ("224.0.0.1", False),
        ("::1", False),
        ("::", False),
        ("fe80::1", False),
        ("fd00::1", False),
        ("::ffff:10.0.0.1", False),
        ("::ffff:8.8.8.8", True),
        ("64:ff9b::a00:1", False),
        ("64:ff9b::808:808", True),
        ("2002:a00:1::", False),
        ("2606:4700::1111", True),
        ("ff02::1", False),
    ],
)
def test_which_addresses_are_public(address: str, public: bool) -> None:
    assert is_public(address) is public


@pytest.mark.parametrize(
    "url",
    [
        "http://{host}/shop",
        "https://evil.example.org/shop",
        "https://{host}.evil.example.org/shop",
        "https://evil.example.org/{host}/shop",
        "https://{host}@evil.example.org/shop",
        "https://user:pw@{host}/shop",
        "https://localhost/shop",
        "https://localhost:1/shop",
        "https://localhost:99999/shop",
        "ftp://{host}/shop",
        "file:///etc/passwd",
        "//{host}/shop",
        "https://[::1/shop",
        "https:///shop",
        "javascript:alert(1)",
        "",
    ],
)
async def test_what_is_not_exactly_a_listed_host_is_neither_covered_nor_asked(cert: Path, url: str) -> None:
    server = page(MARKDOWN)
    async with wiki(server, cert) as (source, base):
        query = RunbookQuery(url=url.format(host=base.removeprefix("https://")))
        assert not source.covers(query)
        assert source.command(query, WINDOW) is None
        found = await source.ask(query, WINDOW, "shop")
    check_failed(found, kind="runbook.text", source="runbooks", reason="not on a listed host")
    assert server.trouble.asked == []


async def test_a_redirect_is_followed_on_the_same_host_only(cert: Path) -> None:
    server = page(MARKDOWN)
    server.moved = {"/old": "/shop", "/loop": "/loop", "/http": "http://localhost/shop"}
    async with wiki(server, cert, login={"bearer": TOKEN}) as (source, base), serving(Other().app()) as other:
        server.moved["/away"] = f"{other}/shop"
        server.moved["/evil"] = "https://evil.example.org/shop"
        server.moved["/inside"] = "https://169.254.169.254/latest"
        server.moved["/odd"] = "https://[::1/x"
        assert text_of(await read(source, f"{base}/old")) == MARKDOWN.strip()
        for path in ("/away", "/evil", "/inside", "/http"):
            found = await read(source, f"{base}{path}")
            check_failed(found, kind="runbook.text", source="runbooks", reason="redirects to another server")
        found = await read(source, f"{base}/loop")
        check_failed(found, kind="runbook.text", source="runbooks", reason="redirects without end")
        found = await read(source, f"{base}/odd")
        assert found.status is EvidenceStatus.FAILED


class Other:
    """A server that must not be asked."""

    def app(self) -> aiohttp.web.Application:
        async def asked(request: aiohttp.web.Request) -> aiohttp.web.Response:
            raise AssertionError("was asked")

        app = aiohttp.web.Application()
        app.router.add_get("/{path:.*}", asked)
        return app


async def test_a_login_is_sent_to_its_host_and_never_shown(cert: Path) -> None:
    for login, header in (
        ({"bearer": TOKEN}, f"Bearer {TOKEN}"),
        (
            {"basic": {"username": "bot", "password": TOKEN}},
            aiohttp.encode_basic_auth("bot", TOKEN),
        ),
    ):
        server = page(f"{MARKDOWN}\nby {TOKEN}")
        server.login = header
        async with wiki(server, cert, login=login) as (source, base):
            found = await read(source, f"{base}/shop")
        assert "by [redacted:token]" in text_of(found)
        assert TOKEN not in repr(found)
        async with wiki(server, cert) as (source, base):
            found = await read(source, f"{base}/shop")
        check_failed(found, kind="runbook.text", source="runbooks", reason="answered 401")


async def test_a_login_page_is_no_runbook(cert: Path) -> None:
    markup = "<html><body><h1>Sign in</h1><form><input type='PASSWORD'></form></body></html>"
    async with wiki(page(markup, "text/html"), cert) as (source, base):
        found = await read(source, f"{base}/shop")
    check_failed(found, kind="runbook.text", source="runbooks", reason="behind a login page")


@pytest.mark.parametrize("kind", ["application/pdf", "image/png", "application/octet-stream"])
async def test_what_is_not_text_is_not_read(cert: Path, kind: str) -> None:
    async with wiki(page("x", kind), cert) as (source, base):
        found = await read(source, f"{base}/shop")
    check_failed(found, kind="runbook.text", source="runbooks", reason=f"is {kind}, not text")


async def test_an_unknown_character_set_is_a_gap(cert: Path) -> None:
    async with wiki(page("x", "text/plain; charset=klingon"), cert) as (source, base):
        found = await read(source, f"{base}/shop")
    check_failed(found, kind="runbook.text", source="runbooks", reason="character set that is not known")


async def test_a_page_that_is_not_there_is_a_gap_and_an_empty_one_is_empty(cert: Path) -> None:
    async with wiki(page(" \n\n"), cert) as (source, base):
        found = await read(source, f"{base}/gone")
        check_failed(found, kind="runbook.text", source="runbooks", reason="the runbook answered 404")
        assert (await read(source, f"{base}/shop")).status is EvidenceStatus.EMPTY


async def test_a_long_page_is_cut_and_said_to_be(cert: Path, tmp_path: Path) -> None:
    long = "x" * 70 + "\n"
    async with wiki(page(long * 100), cert, max_bytes=2048) as (source, base):
        found = await read(source, f"{base}/shop")
        assert found.reason == "only the first 2 KiB were read"
        assert len(text_of(found)) <= 2048
    (tmp_path / "long.md").write_text(long * 100)
    async with runbooks(directory=tmp_path, max_bytes=2048) as source:
        assert (await read(source, "long.md")).reason == "only the first 2 KiB were read"
    (tmp_path / "wide.md").write_text("x" * 5_000)
    async with runbooks(directory=tmp_path) as source:
        found = await read(source, "wide.md")
        assert (len(text_of(found)), found.reason) == (
            2_000,
            "long lines and what follows the first lines are left out",
        )


@pytest.mark.parametrize(
    ("kind", "reason"), [("slow", "no answer within 0.4 s"), ("drop", "cannot be reached")]
)
async def test_each_fault_is_a_gap(cert: Path, kind: str, reason: str) -> None:
    server = page(MARKDOWN)
    server.trouble.kind = kind
    async with wiki(server, cert, timeout="400ms" if kind == "slow" else "20s") as (source, base):
        found = await read(source, f"{base}/shop")
    check_failed(found, kind="runbook.text", source="runbooks", reason=reason)


async def test_a_flood_is_cut_off(cert: Path) -> None:
    server = page(MARKDOWN)
    server.trouble.kind = "flood"
    async with wiki(server, cert, timeout="20s") as (source, base):
        found = await read(source, f"{base}/shop")
    assert found.status is EvidenceStatus.FAILED


async def test_a_server_that_is_not_there_and_a_ca_that_is_not_there_are_gaps(tmp_path: Path) -> None:
    port = free_port()
    hosts = [{"host": f"127.0.0.1:{port}", "private": True}]
    async with runbooks(hosts=hosts) as source:
        found = await read(source, f"https://127.0.0.1:{port}/shop")
        check_failed(found, kind="runbook.text", source="runbooks", reason="cannot be reached")
    async with runbooks(hosts=hosts, ca_file=tmp_path / "gone.pem") as source:
        found = await read(source, f"https://127.0.0.1:{port}/shop")
        check_failed(found, kind="runbook.text", source="runbooks", reason="ca_file: No such file")


async def test_an_address_below_the_base_is_read_from_the_folder(tmp_path: Path) -> None:
    (tmp_path / "db").mkdir()
    (tmp_path / "db" / "full disk.md").write_text("clean up")
    (tmp_path / "page.html").write_text("<p>hello <i>you</i></p>")
    base = "https://wiki.example.org/runbooks/"
    async with runbooks(directory=tmp_path, base_url=base) as source:
        assert text_of(await read(source, f"{base}db/full%20disk#now")) == "clean up"
        assert text_of(await read(source, f"{base}page")) == "hello you"
        assert not source.covers(RunbookQuery(url="https://wiki.example.org/other/db"))


@pytest.mark.parametrize(
    "path",
    [
        "../outside.md",
        "..%2foutside.md",
        "sub/../../outside.md",
        "/etc/passwd",
        "link.md",
        "linked/outside.md",
        "sub",
        "pipe",
        "gone.md",
        "a\0b",
        "round.md",
        "x" * 5_000,
    ],
)
async def test_nothing_outside_the_folder_and_nothing_odd_in_it_is_read(tmp_path: Path, path: str) -> None:
    folder = tmp_path / "runbooks"
    (folder / "sub").mkdir(parents=True)
    (tmp_path / "outside.md").write_text(CANARY)
    (folder / "link.md").symlink_to(tmp_path / "outside.md")
    (folder / "linked").symlink_to(tmp_path)
    (folder / "round.md").symlink_to("round.md")
    os.mkfifo(folder / "pipe")
    async with runbooks(directory=folder) as source:
        found = await read(source, path)
    check_failed(found, kind="runbook.text", source="runbooks", reason="the runbook ")
    assert CANARY not in repr(found)


async def test_a_folder_that_is_not_there_is_a_gap(tmp_path: Path) -> None:
    async with runbooks(directory=tmp_path / "gone") as source:
        found = await read(source, "shop.md")
        check_failed(found, kind="runbook.text", source="runbooks", reason="cannot be read: No such file")
        with pytest.raises(Unavailable, match="the folder cannot be read"):
            await source.probe()


async def test_a_secret_never_comes_through(tmp_path: Path) -> None:
    text = f"password: {CANARY}\ncurl -H 'Authorization: Bearer {CANARY}'\npassword: |\n  {CANARY}\n"
    (tmp_path / "shop.md").write_text(text)
    async with runbooks(directory=tmp_path) as source:
        found = await read(source, "shop.md")
        assert found.status is EvidenceStatus.OK
        assert CANARY not in repr(found)
        found = await read(source, f"shop.md?token={CANARY}")
        assert found.status is EvidenceStatus.OK
        assert CANARY not in repr(found)
    hosts = [{"host": "127.0.0.1:1", "private": True}]
    async with runbooks(hosts=hosts) as source:
        assert CANARY not in repr(await read(source, f"https://127.0.0.1:1/x?token={CANARY}"))


async def test_what_the_operators_do_not_write_is_marked(tmp_path: Path) -> None:
    (tmp_path / "shop.md").write_text(MARKDOWN)
    async with runbooks(directory=tmp_path, outsider_writable=True) as source:
        assert (await read(source, "shop.md")).outsider_writable


async def test_a_probe_says_how_it_is(tmp_path: Path) -> None:
    (tmp_path / "shop.md").write_text(MARKDOWN)
    hosts = [{"host": "127.0.0.1", "private": True}]
    async with runbooks(directory=tmp_path, hosts=hosts) as source:
        assert await source.probe() == "1 files in the folder, 127.0.0.1 is 127.0.0.1"


@pytest.mark.parametrize(
    ("markup", "text"),
    [
        ("plain", "plain"),
        ("<p>a<p>b", "a\nb"),
        ("a<br>b<br/>c", "a\nb\nc"),
        ("<script>x</script>a<svg><text>no</text></svg>b", "ab"),
        ("<head><title>no</title><body>yes", "yes"),
        ("</script></p>a", "a"),
        ("&lt;b&gt; &#x41;", "<b> A"),
        ("<table><tr><td>a</td><td>b</td></tr></table>", "a\nb"),
        ("<h2>x</h2>", "## x"),
        ("<!-- no -->a", "a"),
    ],
)
def test_markup(markup: str, text: str) -> None:
    assert html_text(markup) == text


@pytest.mark.parametrize(
    "piece", ["<", "<a ", "<svg>", "<!--", "<!-", "<script>", "<pre>", "</", "&", "<h1>", "<a b='"]
)
def test_a_page_made_to_be_slow_is_read_like_any_other(piece: str) -> None:
    """Python's own HTML parser takes minutes for some of these."""
    assert isinstance(html_text(piece * (262_144 // len(piece))), str)


@given(markup=st.text(alphabet="<>/ab!-'\"= &;\nprehadscit", max_size=60))
def test_no_markup_breaks_the_reader(markup: str) -> None:
    assert isinstance(html_text(markup), str)
