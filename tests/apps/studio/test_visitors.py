"""Visitors: a folder each, nothing outside it, gone after a day."""

import os
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mofa.apps.studio.visitors import KEEP_SECONDS, Visitor, Visitors, new_token
from mofa.errors import InputError


def test_a_secret_leads_to_the_same_folder_and_another_to_another(tmp_path: Path) -> None:
    visitors, token = Visitors(tmp_path), new_token()
    assert visitors.visitor(token) == visitors.visitor(token)
    assert visitors.visitor(token).folder != visitors.visitor(new_token()).folder
    assert token not in str(visitors.visitor(token).folder), "folders must not give secrets away"


@pytest.mark.parametrize("token", ["", "short", "../../../../../../../../etc/pas", "x" * 33])
def test_what_is_no_secret_is_refused(tmp_path: Path, token: str) -> None:
    with pytest.raises(InputError, match="reload"):
        Visitors(tmp_path).visitor(token)


def test_only_folders_unused_for_a_day_are_removed(tmp_path: Path) -> None:
    visitors = Visitors(tmp_path)
    gone, here = visitors.visitor(new_token()), visitors.visitor(new_token())
    (gone.folder / "photo.jpg").write_bytes(b"x")
    now = time.time() + KEEP_SECONDS + 60
    assert visitors.sweep(time.time()) == []
    os.utime(here.folder, (now, now))
    assert visitors.sweep(now) == [gone.name]
    assert here.folder.exists()
    assert not gone.folder.exists()


@given(
    st.lists(st.text(max_size=20) | st.sampled_from(["..", ".", "/", "~", "..%2f"]), min_size=1, max_size=4)
)
def test_no_name_leads_outside_the_folder(tmp_path_factory: pytest.TempPathFactory, names: list[str]) -> None:
    home = tmp_path_factory.getbasetemp()
    secret = home / "secret.txt"
    secret.write_text("secret", encoding="utf-8")
    visitor = Visitor("ann", home / "ann")
    visitor.folder.mkdir(exist_ok=True)
    for attempt in (names, [*names, "secret.txt"]):
        with pytest.raises(InputError):
            visitor.file(*attempt)


def test_links_are_not_followed(tmp_path: Path) -> None:
    visitor = Visitors(tmp_path / "home").visitor(new_token())
    (tmp_path / "secret.jpg").write_bytes(b"x")
    (visitor.folder / "link.jpg").symlink_to(tmp_path / "secret.jpg")
    with pytest.raises(InputError):
        visitor.file("link.jpg")
