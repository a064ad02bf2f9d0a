"""Visitors: a folder each, nothing outside it, gone after a day."""

import os
import shutil
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mofa.apps.studio.quota import Quota
from mofa.apps.studio.visitors import KEEP_SECONDS, MARKER, Visitor, Visitors, new_token
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
    assert list(tmp_path.iterdir()) == [], "who only looks leaves nothing behind"
    gone.room()
    here.room()
    (gone.folder / "photo.jpg").write_bytes(b"x")
    now = time.time() + KEEP_SECONDS + 60
    assert visitors.sweep(time.time()) == []
    os.utime(here.folder, (now, now))
    assert visitors.sweep(now) == [gone.name]
    assert here.folder.exists()
    assert not gone.folder.exists()


def test_nothing_of_somebody_elses_is_ever_swept(tmp_path: Path) -> None:
    visitors = Visitors(tmp_path / "visitors")
    mine = tmp_path / "visitors" / "holiday photos"
    like_a_visitor = tmp_path / "visitors" / ("a" * 32)
    elsewhere = tmp_path / "elsewhere"
    for folder in (mine, like_a_visitor, elsewhere):
        folder.mkdir()
        (folder / "keep.jpg").write_bytes(b"x")
    (elsewhere / MARKER).touch()
    (tmp_path / "visitors" / ("b" * 32)).symlink_to(elsewhere)
    (tmp_path / "visitors" / "notes.txt").write_text("x", encoding="utf-8")
    gone = visitors.visitor(new_token())
    gone.room()
    assert visitors.sweep(time.time() + 10 * KEEP_SECONDS) == [gone.name]
    assert all((folder / "keep.jpg").exists() for folder in (mine, like_a_visitor, elsewhere))
    assert (tmp_path / "visitors" / "notes.txt").exists()


def test_one_folder_that_resists_does_not_stop_the_sweep(tmp_path: Path, monkeypatch: Any) -> None:
    visitors = Visitors(tmp_path)
    stuck, gone = visitors.visitor(new_token()), visitors.visitor(new_token())
    stuck.room()
    gone.room()
    remove = shutil.rmtree

    def refuse(folder: Path) -> None:
        if folder == stuck.folder:
            raise PermissionError(13, "Permission denied")
        remove(folder)

    monkeypatch.setattr(shutil, "rmtree", refuse)
    assert visitors.sweep(time.time() + 10 * KEEP_SECONDS) == [gone.name]


def test_many_who_write_at_once_get_no_more_than_there_is(tmp_path: Path) -> None:
    quota = Quota(tmp_path, per_visitor=100, together=150)
    visitors = Visitors(tmp_path, quota)
    ann, bob = visitors.visitor(new_token()), visitors.visitor(new_token())
    with ann.keeping(80) as first, ann.keeping(80) as second, bob.keeping(80) as third:
        assert (first, second, third) == (80, 20, 50)
        with pytest.raises(InputError, match="too much room"), bob.keeping(1):
            pass
    (ann.room() / "photo.jpg").write_bytes(b"x" * 70)
    with ann.keeping(80) as left:
        assert left == 30
    assert quota.free_bytes() == 80


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
    visitor.room()
    (tmp_path / "secret.jpg").write_bytes(b"x")
    (visitor.folder / "link.jpg").symlink_to(tmp_path / "secret.jpg")
    with pytest.raises(InputError):
        visitor.file("link.jpg")
