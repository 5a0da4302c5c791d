"""Secrets go in, ``[redacted:…]`` comes out; prose stays prose; no input takes long."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.domain.redaction import clean, is_secret_name, redact, redact_field, strip_invisible

CANARY = "Zx9qCanary7Kd"
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJlLXBhcnQ"
PEM = "-----BEGIN RSA PRIVATE KEY-----\nMIIEow" + CANARY + "\nabc/def+==\n-----END RSA PRIVATE KEY-----"


@pytest.mark.parametrize(
    "text",
    [
        # environment
        f"DB_PASSWORD={CANARY}",
        f"export AWS_SECRET_ACCESS_KEY={CANARY}/a+b=",
        f"MYSQL_PASS={CANARY}",
        f"TOKEN_PROD={CANARY}",
        f"PASSWORD='{CANARY} with spaces'",
        f'PASSWORD="{CANARY}',
        f"REDIS_PASSWORD=a&{CANARY},{CANARY};{CANARY}",
        # query string
        f"GET /cb?state=1&access_token={CANARY}&x=2",
        f"/login?user=bob&password={CANARY} HTTP/1.1",
        f"next=%2Flogin%3Fpassword%3D{CANARY}",
        f"https://x.blob.core.windows.net/c?sv=1&sig={CANARY}{CANARY}%3D&se=2",
        # JSON, and JSON inside JSON
        json.dumps({"password": CANARY}),
        json.dumps({"dbPassword": f"{CANARY} two words, and a comma"}),
        json.dumps({"clientSecret": f'{CANARY}"quoted" {CANARY}'}),
        json.dumps({"log": json.dumps({"api_key": f"{CANARY} {CANARY}"})}),
        json.dumps({"private_key": PEM}),
        "{'refresh_token': '" + CANARY + "'}",
        '{"token" : "' + CANARY + '"}',
        # YAML
        f"password: {CANARY}\nuser: bob",
        f"apiKey: '{CANARY} x'",
        f"secret: |\n  first\n  {CANARY}\nuser: bob",
        f"  password: >-\n    {CANARY}\n    {CANARY}\n  user: bob",
        # Go, SQL, XML, command lines
        f"map[password:{CANARY} user:bob]",
        f"ALTER ROLE bob PASSWORD '{CANARY}'",
        f"CREATE USER bob IDENTIFIED BY '{CANARY}'",
        f"<db><password>{CANARY} x</password></db>",
        f"mysqldump --user bob --password {CANARY} shop",
        f"vault login --client-token={CANARY}",
        f'password => "{CANARY}"',
        # headers
        f"Authorization: Bearer {CANARY}",
        f"authorization: Basic {CANARY}==",
        f"Proxy-Authorization: Digest username=bob, response={CANARY}",
        f"curl -H 'Authorization: token {CANARY}' http://x.test",
        json.dumps({"Authorization": f"Negotiate {CANARY}"}),
        f"Cookie: theme=dark; session={CANARY}",
        f"Set-Cookie: id={CANARY}; Secure",
        f"X-Api-Key: {CANARY}",
        f"X-Vault-Token: {CANARY}",
        f"sent bearer {CANARY} upstream",
        # URLs
        f"postgres://shop:{CANARY}@db:5432/shop",
        f"amqp://u:p@{CANARY}@mq",
        f"https://{CANARY}{CANARY}@github.com/a/b",
        f"https://hooks.slack.com/services/T0/B0/{CANARY}",
        f"https://discord.com/api/webhooks/123456789/{CANARY}-x",
        # keys
        PEM,
        f"-----BEGIN OPENSSH PRIVATE KEY-----\n{CANARY} and cut off",
        f"-----BEGIN PGP PRIVATE KEY BLOCK-----\n{CANARY}\n-----END PGP PRIVATE KEY BLOCK-----",
        f"seen -----BEGIN EC PRIVATE KEY-----\\n{CANARY}\\n-----END EC PRIVATE KEY-----\\n in a log",
        f"ghp_{CANARY}{CANARY}",
        f"github_pat_11{CANARY}{CANARY}",
        f"glpat-{CANARY}abcdefgh",
        f"glsa_{CANARY}{CANARY}",
        f"hvs.{CANARY}{CANARY}",
        f"xoxb-123456-{CANARY}",
        f"sk-ant-{CANARY}{CANARY}",
        f"sk_live_{CANARY}{CANARY}",
        f"syt_{CANARY}_{CANARY}",
        f"mail to {CANARY}@example.com now",
    ],
)
def test_the_secret_is_gone(text: str) -> None:
    redacted = redact(text)
    assert CANARY not in redacted
    assert "[redacted:" in redacted
    assert redact(redacted) == redacted


@pytest.mark.parametrize(
    "secret",
    [JWT, "AKIAIOSFODNN7EXAMPLE", "AIzaSyA-1234567890abcdefghijklmnopqrstuv", "ya29.a0AfH6SMBx-abcdef123"],
)
def test_keys_that_are_known_by_their_shape_are_gone(secret: str) -> None:
    for text in (secret, f"used {secret}.", f'"{secret}"', f"id={secret}"):
        assert secret not in redact(text)


def test_what_surrounds_a_secret_stays_readable() -> None:
    assert redact('{"user": "bob", "password": "a b", "port": 5432}') == (
        '{"user": "bob", "password": "[redacted:secret]", "port": 5432}'
    )
    assert (
        redact("dsn=postgres://shop:pw@db:5432/shop")
        == "dsn=postgres://shop:[redacted:url-password]@db:5432/shop"
    )
    assert redact("a=1&token=abcdef&b=2") == "a=1&token=[redacted:secret]&b=2"
    assert redact("secret: |\n  one\n  two\nuser: bob") == "secret: |\n  [redacted:secret]\nuser: bob"
    assert redact(f"{PEM}\nnext line") == "[redacted:private-key]\nnext line"


@pytest.mark.parametrize(
    "prose",
    [
        "token bucket is empty",
        "the password reset page answers 500",
        "basic authentication is required, bearer tokens are not",
        "basic functionality, basic-auth and the basic tier/plan",
        "Basic Auth failed. Bearer Token missing.",
        "bearer authentication: see docs",
        "max_tokens=4096 and tokens_per_second: 100",
        "token_bucket=5 password_policy: strict secretName: shop-tls",
        "kubectl get secrets -n shop",
        "checkout latency p99 = 2.1 s > 1 s",
        "spinning: true, pinned=3, opinion: good, shopping: on",
        "passed: 12, failed: 3, bypass=1, compass: north",
        "http://prometheus.test:19090/graph?g0.expr=demo_error_ratio+%3E+0.05&g0.tab=1",
        "see http://host:9090/a@b and 10.0.0.1:8080/x",
        "2026-11-21T01:16:07.879Z key=value broken: pipe",
        "monkey=1 turkey: 2 keyboard=us",
        "password: null, token=false, secret: none",
    ],
)
def test_ordinary_text_is_left_alone(prose: str) -> None:
    assert redact(prose) == prose


def test_ip_addresses_go_only_when_asked() -> None:
    assert redact("from 10.1.2.3") == "from 10.1.2.3"
    assert redact("from 10.1.2.3", ip_addresses=True) == "from [redacted:ip]"


FRAGMENTS = st.sampled_from(
    (
        *(
            "password",
            "PASSWORD",
            "token",
            "_secret",
            "api_key",
            "Authorization",
            "Cookie",
            "basic ",
            "Bearer ",
        ),
        *(
            "[redacted:secret]",
            "[redacted:email]",
            "[redacted:",
            "redacted",
            "[",
            "]",
            "{",
            "}",
            ",",
            ";",
            "&",
        ),
        *(
            ":",
            "=",
            "=>",
            "%3D",
            " ",
            "\n",
            "\n  ",
            "|",
            ">",
            "'",
            '"',
            '\\"',
            "\\",
            "@",
            "://",
            "/",
            "--",
            "-",
        ),
        *("abc", "Zx9q", "bob@example.com", "eyJhbGciOi", ".", JWT, "<password>", "</password>", "?sig="),
        *("-----BEGIN PRIVATE KEY-----", "-----END PRIVATE KEY-----", "ghp_", "A" * 24, "\u212a", "é", "\0"),
    )
)


@given(st.lists(FRAGMENTS, max_size=14).map("".join))
def test_redacting_twice_changes_nothing(text: str) -> None:
    once = redact(text)
    assert redact(once) == once


@given(st.text())
def test_redacting_any_text_twice_changes_nothing(text: str) -> None:
    once = redact(text, ip_addresses=True)
    assert redact(once, ip_addresses=True) == once


@pytest.mark.parametrize(
    "unit",
    [
        *(
            "a",
            " ",
            "\n",
            "-",
            "a.",
            "a@",
            "a-",
            "@",
            "://",
            "://a:",
            "://aaaaaaaaaaaaaaaaaaaa",
            "eyJaaaaaaaa-",
            "eyJa.",
        ),
        *(
            "eyJaaaaaaaa.aaaaaaaa.",
            "password",
            "password ",
            "password=",
            "password:\n ",
            "password: |\n  ",
            "token\t",
        ),
        *(
            'password="',
            "password='\\",
            "password=,",
            "password=a,",
            "authorization:",
            "authorization ",
            "cookie:",
        ),
        *(
            "-----BEGIN ",
            "-----BEGIN PRIVATE KEY-----",
            "-----BEGIN A PRIVATE KEY",
            "bearer ",
            "basic  ",
            "Bearer a",
        ),
        *(
            "--a-",
            "--password ",
            "<password>",
            "<password>a",
            "?sig=",
            "1",
            "1.",
            "12345678:AA",
            "sk-",
            "ghp_a",
        ),
        *(
            "_pass",
            "api_",
            "\\",
            '\\"',
            "[redacted:",
            "\x1b[",
            "\x1b]",
            "secret: >\n\t",
            "hooks.slack.com/services/",
        ),
    ],
)
def test_much_of_anything_takes_no_time_to_speak_of(unit: str) -> None:
    text = unit * (200_000 // len(unit))
    # A text that ends otherwise than it goes on makes a backtracking rule try everything.
    everything = "pass token secret basic bearer authorization cookie -----begin eyj @ :// sig= </ -- "
    started = time.process_time()
    redact(everything + text + "\n!")
    strip_invisible(text)
    assert time.process_time() - started < 2


def test_a_megabyte_of_log_takes_no_time_to_speak_of() -> None:
    line = f'2026-11-21T01:16:07Z level=error msg="login failed" user=bob@example.com token={CANARY} url=http://a\n'
    text = line * (1_000_000 // len(line))
    started = time.process_time()
    redacted = redact(text)
    assert time.process_time() - started < 5
    assert CANARY not in redacted
    assert redacted.count("\n") == text.count("\n")


@pytest.mark.parametrize(
    "name", ["password", "DB_PASSWORD", "dbPassword", "client-secret", "apiKey", "x-auth-token", "MYSQL_PASS"]
)
def test_a_field_named_like_a_secret_is_masked_whatever_it_holds(name: str) -> None:
    assert is_secret_name(name)
    assert redact_field(name, "plain words") == "[redacted:secret]"
    assert redact_field(name, redact_field(name, "plain words")) == "[redacted:secret]"


@pytest.mark.parametrize(
    "name", ["summary", "description", "secretName", "token_bucket", "pass", "keyboard", ""]
)
def test_a_field_of_another_name_is_judged_by_what_it_holds(name: str) -> None:
    assert not is_secret_name(name)
    assert redact_field(name, f"words and token={CANARY}") == "words and token=[redacted:secret]"


def test_invisible_characters_cannot_hide_a_secret() -> None:
    for hidden in ("pass\u200bword=" + CANARY, "password\x1b[0m=" + CANARY, "pass\u00adword: " + CANARY):
        assert CANARY not in clean(hidden, limit=1000)


def test_terminal_and_invisible_characters_are_stripped_and_lines_kept() -> None:
    assert (
        strip_invisible("a\x1b[31mred\x1b[0m\x1b]0;title\x07\u202eb\u200b\tc\n\U000e0041d")
        == "ared" + "b\tc\nd"
    )


def test_a_long_text_keeps_head_and_tail() -> None:
    text = "first line\n" + "x" * 5000 + "\nlast line"
    short = clean(text, limit=300)
    assert len(short) <= 300
    assert short.startswith("first line")
    assert short.endswith("last line")
    assert "characters left out" in short
    assert clean(text, limit=20) == text[:20]


@pytest.mark.parametrize("end", ["\r", "\r\n", "\u2028", "\u2029"])
def test_no_line_end_can_overwrite_what_a_terminal_shows(end: str) -> None:
    assert strip_invisible(f"harmless{end}approved by ana") == "harmless\napproved by ana"


def test_of_a_long_text_each_line_is_redacted_as_it_is_alone() -> None:
    lines = [
        "INFO fine", 'api_key = "a b c" and "d"', "token: abc,", "def = 1", "", "password=x&next=1 İ",
        "the token\r", "session_id=\\", "'hunter2hunter2' key",
    ]  # fmt: skip
    long = lines * 200
    assert redact("\n".join(long)) == "\n".join(map(redact, long))
