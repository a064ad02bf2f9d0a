"""Links to clips are secrets, last as long as the clip, and lead to copies."""

import shutil
from pathlib import Path

import pytest

from mofa.apps.studio.making import CLIP, SCENE
from mofa.apps.studio.quota import Quota
from mofa.apps.studio.shares import Shares
from mofa.apps.studio.visitors import Visitor, Visitors, new_token
from mofa.errors import InputError
from mofa.pipeline.request import AnimationRequest


@pytest.fixture
def ann(tmp_path: Path, photo: Path) -> Visitor:
    """Somebody with a clip called 1a."""
    ann = Visitors(tmp_path / "visitors").visitor(new_token())
    shutil.copy(photo, ann.room() / "photo-1.jpg")
    folder = ann.results / "1a"
    folder.mkdir(parents=True)
    (folder / CLIP).write_bytes(b"a clip")
    track = {"kind": "track", "points": [[100, 100], [150, 90]]}
    request = AnimationRequest.from_data({"picture": "../../photo-1.jpg", "controls": [track]})
    (folder / SCENE).write_text(request.to_yaml(), encoding="utf-8")
    return ann


def test_who_has_the_link_sees_the_clip_and_gets_a_copy_of_its_scene(ann: Visitor, tmp_path: Path) -> None:
    shares, bob = Shares(tmp_path / "shares"), Visitors(tmp_path / "visitors").visitor(new_token())
    token = shares.give(ann, "1a")
    assert shares.give(ann, "1a") == token
    assert ann.name not in token
    assert shares.clip(token).read_bytes() == b"a clip"
    opened = shares.scene(token, bob)
    assert opened.picture is not None
    assert opened.picture.parent == bob.folder
    assert len(opened.controls) == 1


def test_only_what_is_there_is_shared_and_only_by_whoever_made_it(ann: Visitor, tmp_path: Path) -> None:
    shares, bob = Shares(tmp_path / "shares"), Visitors(tmp_path / "visitors").visitor(new_token())
    for visitor, clip in ((bob, "1a"), (ann, "2b"), (ann, "..")):
        with pytest.raises(InputError):
            shares.give(visitor, clip)
    for token in ("", "..", "x" * 22, "../visitors", "../../../../etc/passwd"):
        with pytest.raises(InputError, match="leads nowhere"):
            shares.clip(token)


def test_a_link_ends_with_its_clip(ann: Visitor, tmp_path: Path) -> None:
    shares = Shares(tmp_path / "shares")
    token = shares.give(ann, "1a")
    shares.sweep()
    assert shares.clip(token).exists()
    shutil.rmtree(ann.results / "1a")
    with pytest.raises(InputError, match="leads nowhere"):
        shares.clip(token)
    shares.sweep()
    assert list((tmp_path / "shares").iterdir()) == []


def test_a_visitor_without_room_is_told(ann: Visitor, tmp_path: Path) -> None:
    shares = Shares(tmp_path / "shares")
    small = Quota(tmp_path / "others", per_visitor=100)
    bob = Visitors(tmp_path / "others", small).visitor(new_token())
    with pytest.raises(InputError, match="too much room"):
        shares.scene(shares.give(ann, "1a"), bob)
    assert not (bob.folder / "photo-1.jpg").exists()


def test_files_of_the_person_among_the_links_stay(ann: Visitor, tmp_path: Path) -> None:
    shares, folder = Shares(tmp_path / "shares"), tmp_path / "shares"
    token = shares.give(ann, "1a")
    (folder / "notes.txt").write_text("x", encoding="utf-8")
    (folder / ("a" * 22)).write_text("as long as a secret", encoding="utf-8")
    (folder / "a folder").mkdir()
    (folder / ("b" * 22)).symlink_to(folder / "notes.txt")
    shutil.rmtree(ann.results)
    shares.sweep()
    assert not (folder / token).exists()
    assert sorted(path.name for path in folder.iterdir()) == ["a folder", "a" * 22, "b" * 22, "notes.txt"]
    with pytest.raises(InputError, match="nowhere"):
        shares.clip("a" * 22)
