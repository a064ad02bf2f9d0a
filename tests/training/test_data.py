"""Clips from videos, lists and shards: what is read, what is left out and said, and in which order."""

import json
import logging
import tarfile
from collections.abc import Sequence
from dataclasses import replace
from io import BytesIO
from itertools import islice
from pathlib import Path

import av
import numpy as np
import pytest
import torch

from mofa.errors import InputError
from mofa.media.clips import VideoFacts
from mofa.training.clips import Clips
from mofa.training.loading import Shares, batches
from mofa.training.shards import Shards, packed, unpacked
from mofa.training.sources import SyntheticClips
from mofa.training.synthetic import SceneSettings
from mofa.training.synthetic_faces import SyntheticFaces
from mofa.training.videos import ClipSettings, Videos, window_of

SMALL = ClipSettings(num_frames=3, stride=4, height=32, width=32, flip=False)


def write_video(target: Path | BytesIO, count: int, size: tuple[int, int] = (64, 48), fps: int = 10) -> None:
    """A video whose frame i is grey of brightness 8 i."""
    with av.open(target, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=fps, options={"crf": "1", "g": "8"})
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        for i in range(count):
            pixels = np.full((size[1], size[0], 3), 8 * i, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode())


def brightness(clip: Clips) -> list[float]:
    return [float(frame.float().mean()) / 8 for frame in clip.frames]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "below").mkdir()
    write_video(tmp_path / "a.mp4", 20)
    write_video(tmp_path / "below" / "b.mp4", 24, size=(48, 64))
    return tmp_path


def test_a_clip_has_the_frames_of_its_stride_and_the_size_asked_for(folder: Path) -> None:
    source = Videos(folder, SMALL).build(0)
    for number in range(6):
        clip = source[number]
        assert clip.frames.shape == (3, 3, 32, 32)
        steps = np.diff(brightness(clip))
        assert steps == pytest.approx([4, 4], abs=0.3), "every fourth frame of the video"


def test_a_smaller_window_shows_its_share_of_the_picture_anywhere(folder: Path) -> None:
    facts = VideoFacts(10.0, 2.0, 64, 48)
    rng = np.random.default_rng(0)
    boxes = [window_of(facts, replace(SMALL, shown=0.5), rng) for _ in range(50)]
    assert all((box.width, box.height) == (24, 24) for box in boxes)
    assert all(0 <= box.left <= 40 and 0 <= box.top <= 24 for box in boxes)
    assert max(box.left for box in boxes) - min(box.left for box in boxes) > 25
    middle = window_of(facts, replace(SMALL, shown=0.5, random_windows=False), rng)
    assert (middle.left, middle.top) == (20, 12)
    assert Videos(folder, replace(SMALL, shown=0.5)).build(0)[0].frames.shape == (3, 3, 32, 32)


def test_every_video_comes_once_before_any_comes_again(folder: Path) -> None:
    source = Videos(folder, SMALL).build(3)
    names = [str(source[i].name).split(" at ")[0] for i in range(8)]
    assert all(len({names[i], names[i + 1]}) == 2 for i in range(0, 8, 2))


def test_the_same_number_is_the_same_clip(folder: Path) -> None:
    one, other = Videos(folder, SMALL).build(1), Videos(folder, SMALL).build(1)
    assert torch.equal(one[5].frames, other[5].frames)
    assert one[5].name == other[5].name


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_lists_name_files_beside_them(folder: Path, kind: str) -> None:
    names = ["a.mp4", "below/b.mp4"]
    path = folder / f"list.{kind}"
    if kind == "csv":
        path.write_text("id,path\n" + "".join(f"{i},{name}\n" for i, name in enumerate(names)))
    else:
        path.write_text("".join(json.dumps({"path": name, "id": 1}) + "\n" for name in names))
    source = Videos(path, SMALL).build(0)
    assert {Path(str(source[i].name).split(" at ")[0]).name for i in range(2)} == {"a.mp4", "b.mp4"}


def test_what_cannot_be_read_is_named_once_and_left_out(folder: Path, caplog) -> None:
    (folder / "broken.mp4").write_bytes((folder / "a.mp4").read_bytes()[:200])
    write_video(folder / "short.mp4", 4)
    source = Videos(folder, SMALL).build(0)
    with caplog.at_level(logging.WARNING):
        names = {str(source[i].name).split(" at ")[0] for i in range(12)}
    assert {Path(name).name for name in names} == {"a.mp4", "b.mp4"}
    assert len(caplog.records) == 2
    assert source.left_out.total() == 2
    assert any(
        "short.mp4 has 4 frames, and a clip needs 9" in record.getMessage() for record in caplog.records
    )


def test_too_short_videos_alone_are_an_error_and_no_endless_loop(tmp_path: Path) -> None:
    write_video(tmp_path / "short.mp4", 4)
    with pytest.raises(InputError, match=r"none of the 1 videos .* has 4 frames"):
        Videos(tmp_path, SMALL).build(0)[0]


def test_an_empty_folder_and_a_list_without_a_column_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no videos"):
        Videos(tmp_path, SMALL).build(0)
    (tmp_path / "list.csv").write_text("id\n1\n")
    with pytest.raises(InputError, match="row 1, names no file"):
        Videos(tmp_path / "list.csv", SMALL).build(0)


def write_shard(path: Path, members: dict[str, bytes]) -> None:
    with tarfile.open(path, "w") as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, BytesIO(content))


def video_bytes(count: int) -> bytes:
    buffer = BytesIO()
    write_video(buffer, count)
    return buffer.getvalue()


def prepared(value: int) -> bytes:
    return packed(Clips(frames=torch.full((3, 3, 32, 32), value, dtype=torch.uint8)))


def first_pixels(clips: Sequence[Clips]) -> list[int]:
    return [int(clip.frames.flatten()[0]) for clip in clips]


def test_readers_share_shards_out_and_together_read_everything(tmp_path: Path) -> None:
    for shard in range(4):
        members = {f"{i}.npz": prepared(10 * shard + i) for i in range(3)}
        write_shard(tmp_path / f"{shard}.tar", members)
    stream = Shards(f"{tmp_path}/*.tar").build(0)
    parts = [first_pixels(list(islice(stream.share(part, 2, 0), 6))) for part in range(2)]
    assert sorted(parts[0] + parts[1]) == [10 * s + i for s in range(4) for i in range(3)]
    few = Shards(f"{tmp_path}/0.tar").build(0)
    assert sorted(first_pixels([next(few.share(part, 3, 0)) for part in range(3)])) == [0, 1, 2]


def test_a_stream_goes_on_where_it_was(tmp_path: Path) -> None:
    for shard in range(2):
        write_shard(tmp_path / f"{shard}.tar", {f"{i}.npz": prepared(10 * shard + i) for i in range(3)})
    stream = Shards(f"{tmp_path}/*.tar").build(5)
    whole = first_pixels(list(islice(stream.share(0, 1, 0), 10)))
    assert first_pixels(list(islice(stream.share(0, 1, 4), 6))) == whole[4:]


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 2, 3])
def test_batches_of_a_stream_go_on_whatever_the_number_of_workers(tmp_path: Path, workers: int) -> None:
    for shard in range(4):
        write_shard(tmp_path / f"{shard}.tar", {f"{i}.npz": prepared(10 * shard + i) for i in range(5)})
    stream, shares = Shards(f"{tmp_path}/*.tar").build(5), Shares(2, 1, 1, 0)
    whole = [b.frames[:, 0, 0, 0, 0].tolist() for b in batches(stream, shares, 0, 9, workers)]
    later = [b.frames[:, 0, 0, 0, 0].tolist() for b in batches(stream, shares, 4, 9, workers)]
    assert later == whole[4:]


def test_a_broken_member_is_left_out_and_said(tmp_path: Path, caplog) -> None:
    members = {"a.npz": prepared(1), "b.npz": b"nonsense", "c.txt": b"words", "d.npz": prepared(4)}
    write_shard(tmp_path / "x.tar", members)
    with caplog.at_level(logging.WARNING):
        clips = list(islice(Shards(f"{tmp_path}/x.tar").build(0).share(0, 1, 0), 2))
    assert first_pixels(clips) == [1, 4]
    told = " ".join(record.getMessage() for record in caplog.records)
    assert "b of" in told
    assert "is damaged" in told
    assert "neither a video nor a prepared clip" in told


def test_a_shard_that_breaks_off_gives_what_comes_before(tmp_path: Path) -> None:
    write_shard(tmp_path / "x.tar", {"a.npz": prepared(1), "b.npz": prepared(2)})
    content = (tmp_path / "x.tar").read_bytes()
    half = content.index(b"b.npz") + 600
    (tmp_path / "x.tar").write_bytes(content[:half])
    assert first_pixels(list(islice(Shards(f"{tmp_path}/x.tar").build(0).share(0, 1, 0), 2))) == [1, 1]
    (tmp_path / "y.tar").write_bytes(b"no tar at all" * 100)
    with pytest.raises(InputError, match="found nothing to read"):
        next(Shards(f"{tmp_path}/y.tar").build(0).share(0, 1, 0))


def test_shards_of_videos_are_cut_as_videos_are(tmp_path: Path) -> None:
    write_shard(tmp_path / "x.tar", {"a.mp4": video_bytes(20), "b.mp4": video_bytes(12)})
    clips = list(islice(Shards(f"{tmp_path}/x.tar", SMALL).build(0).share(0, 1, 0), 2))
    for clip in clips:
        assert np.diff(brightness(clip)) == pytest.approx([4, 4], abs=0.3)


def test_a_prepared_clip_survives_packing() -> None:
    scene = SyntheticClips(SceneSettings(height=32, width=32, num_frames=3)).build(0)[0]
    face = SyntheticFaces().build(0)[0]
    for clip in (scene, face):
        back = unpacked(packed(clip), "here")
        assert torch.equal(back.frames, clip.frames)
        if clip.flow is not None:
            assert torch.allclose(back.flow, clip.flow, atol=0.02)
        if clip.landmarks is not None:
            assert torch.equal(back.landmarks, clip.landmarks)


def test_drawn_faces_are_where_their_points_are() -> None:
    clip = SyntheticFaces(height=96, width=96).build(4)[1]
    lips = clip.landmarks[:, 48:60].mean(dim=1)
    for frame, (x, y) in zip(clip.frames, lips, strict=True):
        red, green, _ = frame[:, round(float(y)), round(float(x))].tolist()
        assert red > green, "the mouth is red"
    assert clip.landmarks.shape == (4, 68, 2)
