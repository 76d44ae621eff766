"""Which names and origins are this machine's, whose token counts, and who may read it."""

import json
import socket
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.errors import UsageError
from edge.runs.live.access import (
    bears_token,
    is_own_host,
    is_same_origin,
    is_token,
    new_token,
    write_access,
)
from edge.runs.live.client import listen, page_urls


@pytest.mark.parametrize(
    "host",
    ["localhost", "LocalHost:8080", "127.0.0.1:1", "[::1]:8080", "10.0.0.7", socket.gethostname(),
     f"{socket.gethostname()}.local:8080"],
)  # fmt: skip
def test_an_address_and_the_own_name_are_this_machines(host: str):
    assert is_own_host(host)


@pytest.mark.parametrize(
    "host",
    ["", ":8080", "evil.example", "127.0.0.1.evil.example", "localhost.evil.example:8080", "[::1", "a" * 900],
)
def test_any_other_name_may_be_a_foreign_pages(host: str):
    assert not is_own_host(host)


def test_only_the_own_origin_and_programs_without_one_are_let_in():
    assert (
        is_same_origin(None, "a:1")
        and is_same_origin("http://a:1", "a:1")
        and is_same_origin("https://A:1", "a:1")
    )
    for other in ("", "null", "http://a", "http://a:2", "http://a:1.evil", "ftp://a:1", "http://a:1/"):
        assert not is_same_origin(other, "a:1")


@given(st.text(max_size=60))
def test_no_other_text_is_the_token(text: str):
    assert not is_token(text, "secret") and not bears_token(text, "secret")
    assert is_token("secret", "secret") and bears_token("Bearer secret", "secret")


def test_tokens_are_long_and_never_the_same():
    assert len({new_token() for _ in range(50)}) == 50 and len(new_token()) >= 43


def test_the_file_is_for_this_user_alone(tmp_path: Path):
    write_access(tmp_path / "web.json", 8080, "t", urls=["u"])
    assert stat.S_IMODE((tmp_path / "web.json").stat().st_mode) == 0o600
    assert json.loads((tmp_path / "web.json").read_text())["port"] == 8080
    with pytest.raises(UsageError):
        write_access(tmp_path / "gone" / "web.json", 8080, "t")


def test_a_port_that_is_taken_and_an_address_of_another_machine_are_refused():
    with listen("127.0.0.1", 0) as first:
        with pytest.raises(UsageError, match="can't listen") as refused:
            listen("127.0.0.1", first.getsockname()[1])
        assert "--web" in refused.value.hint
    for host in ("192.0.2.1", "no such host"):
        with pytest.raises(UsageError, match="can't listen"):
            listen(host, 0)


def test_it_listens_where_it_was_told_to():
    with listen("127.0.0.1", 0) as here:
        assert here.getsockname()[0] == "127.0.0.1"


def test_the_addresses_that_people_get_have_the_token_where_no_server_sees_it():
    assert page_urls("127.0.0.1", 8080, "t") == ["http://127.0.0.1:8080/#t"]
    assert page_urls("::1", 8080, "t") == ["http://[::1]:8080/#t"]
    assert page_urls("0.0.0.0", 8080, "t")[0] == "http://127.0.0.1:8080/#t"
