import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mofa.errors import OutputError
from mofa.media import files
from mofa.media.files import check_writable, replacing, replacing_folder


def entries(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def test_file_appears_whole_and_alone(tmp_path: Path) -> None:
    target = tmp_path / "new" / "folder" / "clip.mp4"
    with replacing(target, overwrite=False) as hidden:
        hidden.write_bytes(b"first")
        assert not target.exists()
        assert hidden.suffix == ".mp4"
    assert target.read_bytes() == b"first"
    assert entries(target.parent) == {"clip.mp4"}


def write_half(target: Path, end: BaseException) -> None:
    with replacing(target, overwrite=True) as hidden:
        hidden.write_bytes(b"half")
        raise end


def write_half_folder(target: Path, end: BaseException) -> None:
    with replacing_folder(target, overwrite=False) as folder:
        (folder / "frame_0000.png").write_bytes(b"half")
        raise end


def write_in_a_race(target: Path) -> None:
    with replacing(target, overwrite=False) as hidden:
        hidden.write_bytes(b"mine")
        target.write_bytes(b"theirs")


@pytest.mark.parametrize("end", [KeyboardInterrupt, ValueError, SystemExit])
def test_an_early_end_leaves_what_was_there(tmp_path: Path, end: type[BaseException]) -> None:
    target = tmp_path / "clip.mp4"
    target.write_bytes(b"old")
    with pytest.raises(end):
        write_half(target, end())
    with pytest.raises(end):
        write_half_folder(tmp_path / "frames", end())
    assert entries(tmp_path) == {"clip.mp4"}
    assert target.read_bytes() == b"old"


def test_existing_file_needs_overwrite(tmp_path: Path) -> None:
    target = tmp_path / "clip.mp4"
    target.write_bytes(b"old")
    with pytest.raises(OutputError, match=r"clip\.mp4.*--overwrite"), replacing(target, overwrite=False):
        pytest.fail("the block must not run")
    with replacing(target, overwrite=True) as hidden:
        hidden.write_bytes(b"new")
    assert target.read_bytes() == b"new"


def test_a_file_that_appeared_meanwhile_survives(tmp_path: Path) -> None:
    target = tmp_path / "clip.mp4"
    with pytest.raises(OutputError, match="--overwrite"):
        write_in_a_race(target)
    assert target.read_bytes() == b"theirs"
    assert entries(tmp_path) == {"clip.mp4"}


def test_nothing_stays_when_the_block_wrote_nothing(tmp_path: Path) -> None:
    with pytest.raises(OutputError), replacing(tmp_path / "clip.mp4", overwrite=False):
        pass
    assert entries(tmp_path) == set()


def test_a_link_keeps_pointing_where_it_did(tmp_path: Path) -> None:
    (tmp_path / "real.mp4").write_bytes(b"old")
    link = tmp_path / "link.mp4"
    try:
        link.symlink_to(tmp_path / "real.mp4")
    except OSError:
        pytest.skip("links are not allowed here")
    with replacing(link, overwrite=True) as hidden:
        hidden.write_bytes(b"new")
    assert link.is_symlink()
    assert (tmp_path / "real.mp4").read_bytes() == b"new"


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "is full .*MB free"),
        (errno.EACCES, "no permission"),
        (errno.EROFS, "read-only"),
        (errno.EIO, "cannot be written"),
    ],
)
def test_the_systems_refusals_become_sentences(tmp_path: Path, number: int, words: str) -> None:
    with pytest.raises(OutputError, match=words):
        write_half(tmp_path / "clip.mp4", OSError(number, os.strerror(number)))
    assert entries(tmp_path) == set()


def test_frames_replace_frames_and_nothing_else(tmp_path: Path) -> None:
    target = tmp_path / "frames"
    target.mkdir()  # an empty folder may be filled
    for count, overwrite in ((3, False), (1, True)):
        with replacing_folder(target, overwrite) as folder:
            for index in range(count):
                (folder / f"frame_{index:04d}.png").write_bytes(b"picture")
    assert entries(tmp_path) == {"frames", "frames/frame_0000.png"}
    with pytest.raises(OutputError, match="--overwrite"), replacing_folder(target, overwrite=False):
        pytest.fail("the block must not run")
    (target / "thesis.doc").write_bytes(b"five years")
    with pytest.raises(OutputError, match="other files"), replacing_folder(target, overwrite=True):
        pytest.fail("the block must not run")
    assert (target / "thesis.doc").exists()


@pytest.mark.parametrize("name", ["taken.mp4", "folder.mp4", "taken.mp4/below/clip.mp4", "taken", "."])
def test_refused_before_the_work_begins(tmp_path: Path, name: str) -> None:
    (tmp_path / "taken.mp4").write_bytes(b"old")
    (tmp_path / "taken").write_bytes(b"a file where a folder of frames should go")
    (tmp_path / "folder.mp4").mkdir()
    before = entries(tmp_path)
    with pytest.raises(OutputError) as refusal:
        check_writable([tmp_path / "free.gif", tmp_path / name], overwrite=False)
    assert str(tmp_path) in str(refusal.value)
    assert entries(tmp_path) == before


def test_checking_leaves_nothing_behind(tmp_path: Path) -> None:
    check_writable([tmp_path / "a" / "clip.mp4", tmp_path / "frames"], overwrite=False)
    assert entries(tmp_path) == set()


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere")
def test_unwritable_folder(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(OutputError, match="no permission"):
            check_writable([tmp_path / "clip.mp4"], overwrite=False)
    finally:
        tmp_path.chmod(0o700)


def leftovers(folder: Path, process: int) -> list[Path]:
    """A file and a folder as a run of that process leaves them when it is killed."""
    with replacing(folder / "clip.mp4", overwrite=True) as hidden:
        hidden.write_bytes(b"x")
        name = hidden.name.replace(f"-{os.getpid()}-", f"-{process}-")
    (folder / "clip.mp4").unlink()
    (folder / name).write_bytes(b"half")
    (folder / name.removesuffix(".mp4")).mkdir()
    return [folder / name, folder / name.removesuffix(".mp4")]


@pytest.mark.skipif(os.name == "nt", reason="processes cannot be asked there")
def test_what_a_killed_run_left_is_cleared_by_the_next_one_and_nothing_else(tmp_path: Path) -> None:
    gone = leftovers(tmp_path, 4_000_000)
    alive = leftovers(tmp_path, os.getpid())
    others = [
        tmp_path / name for name in (".mofa-mine", ".mofa-0a1b2c3d4e5f.mp4", ".mofa-deadbeef-1-notours")
    ]
    for path in others:
        path.write_bytes(b"mine")
    with replacing(tmp_path / "next.mp4", overwrite=False) as hidden:
        hidden.write_bytes(b"whole")
    assert not any(path.exists() for path in gone)
    assert all(path.exists() for path in (*alive, *others))


KILLED = """
import os, sys
from contextlib import ExitStack
from pathlib import Path
from mofa.media import files

folder, survive, overwrite = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3] == "True"
paths = [folder / "clip.mp4", folder / "clip.scene.yaml", folder / "frames"]
with files.together(folder) as announce, ExitStack() as names:
    hidden = {}
    for path in paths:
        kind = files.replacing if path.suffix else files.replacing_folder
        hidden[path] = names.enter_context(kind(path, overwrite))
    for path, new in hidden.items():
        (new if path.suffix else new / "frame_1.png").write_text("new " + path.name)
    if survive == 0:
        os._exit(9)
    announce(hidden, overwrite)
    left = iter(range(1, survive))
    rename, link = os.rename, os.link
    def counted(real):
        def act(*arguments):
            if next(left, None) is None:
                os._exit(9)
            return real(*arguments)
        return act
    os.link, os.rename, os.replace = counted(os.link), counted(os.rename), counted(os.replace)
"""


@pytest.mark.slow
@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("survive", [0, 1, 2, 3])
def test_a_set_of_files_is_whole_or_absent_wherever_its_run_is_killed(
    tmp_path: Path, survive: int, overwrite: bool
) -> None:
    """`survive`: 0 is killed before the last byte is written, 1 before the first name, 2 between names."""
    old = {"clip.mp4": "old", "clip.scene.yaml": "old"} if overwrite else {}
    for name, content in old.items():
        (tmp_path / name).write_text(content, encoding="utf-8")
    (tmp_path / "mine.txt").write_text("mine", encoding="utf-8")
    command = [sys.executable, "-c", KILLED, str(tmp_path), str(survive), str(overwrite)]
    assert subprocess.run(command, timeout=300).returncode == 9
    check_writable([tmp_path / "next.mp4"], overwrite=False)
    there = {path.name: path for path in tmp_path.iterdir()}
    assert there.pop("mine.txt").read_text(encoding="utf-8") == "mine"
    if survive == 0:
        assert {name: path.read_text(encoding="utf-8") for name, path in there.items()} == old
        return
    assert sorted(there) == ["clip.mp4", "clip.scene.yaml", "frames"]
    assert [path.name for path in there["frames"].iterdir()] == ["frame_1.png"]
    assert {there[name].read_text(encoding="utf-8") for name in ("clip.mp4", "clip.scene.yaml")} == {
        "new clip.mp4",
        "new clip.scene.yaml",
    }


def test_a_note_about_a_set_that_came_from_elsewhere_leads_nowhere(tmp_path: Path) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    (tmp_path / "outside.txt").write_text("x", encoding="utf-8")
    (inside / "mine.txt").write_text("mine", encoding="utf-8")
    gone = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True)
    name = files._hidden_name(inside / "a.set").name.replace(str(os.getpid()), gone.stdout.decode().strip())
    for moves in ({"../outside.txt": "stolen"}, {"mine.txt": "x.txt"}, {name: "../up.txt"}, [1], None):
        (inside / name).write_text(json.dumps({"overwrite": True, "moves": moves}), encoding="utf-8")
        files.clear_leftovers(inside)
    assert sorted(path.name for path in inside.iterdir()) == ["mine.txt"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["inside", "outside.txt"]


def test_a_name_is_never_there_before_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed at any moment, a run leaves a whole file or none under the name."""
    seen: list[bool] = []
    link = os.link

    def watched(source: Path, target: Path) -> None:
        seen.append(Path(target).exists())
        link(source, target)

    monkeypatch.setattr(os, "link", watched)
    with replacing(tmp_path / "clip.mp4", overwrite=False) as hidden:
        hidden.write_bytes(b"whole")
    assert seen == [False]
    assert (tmp_path / "clip.mp4").read_bytes() == b"whole"
    assert entries(tmp_path) == {"clip.mp4"}


def test_a_name_that_is_too_long_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="too long"):
        check_writable([tmp_path / f"{'x' * 300}.mp4"], overwrite=False)
    with pytest.raises(OutputError, match="too long"):
        check_writable([tmp_path / ("x" * 300)], overwrite=False)
