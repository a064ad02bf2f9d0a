import math
import wave
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

from mofa.errors import InputError
from mofa.media.audio import read_audio
from mofa.media.encode import write_clip
from mofa.types import Clip, Waveform


def tone(seconds: float, rate: int, channels: int = 1, pitch: float = 440) -> Tensor:
    time = torch.arange(round(seconds * rate)) / rate
    return 0.5 * torch.sin(2 * math.pi * pitch * time).expand(channels, -1)


def write_wav(path: Path, samples: Tensor, rate: int) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(len(samples))
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes((samples.T * 32767).round().short().numpy().tobytes())
    return path


def encode(path: Path, codec: str, samples: Tensor, rate: int, layout: str) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate, layout=layout)
        planar = np.ascontiguousarray(samples.float().numpy())
        frame = av.AudioFrame.from_ndarray(planar, format="fltp", layout=layout)
        frame.sample_rate = rate
        container.mux([packet for part in av.AudioResampler(
            format=stream.format.name, layout=layout, rate=rate, frame_size=stream.frame_size or 1024
        ).resample(frame) for packet in stream.encode(part)])  # fmt: skip
        container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize(("channels", "rate"), [(1, 16000), (2, 44100), (1, 8000), (2, 11025)])
def test_samples_of_a_wav_come_as_they_are(tmp_path: Path, channels: int, rate: int) -> None:
    samples = tone(0.5, rate, channels)
    sound = read_audio(write_wav(tmp_path / "tone.wav", samples, rate))
    assert sound.rate == rate
    assert sound.samples.shape == samples.shape
    torch.testing.assert_close(sound.samples, samples, atol=1e-4, rtol=0)


@pytest.mark.parametrize(
    ("name", "codec", "layout"),
    [
        ("tone.mp3", "libmp3lame", "stereo"),
        ("tone.ogg", "libopus", "stereo"),
        ("tone.flac", "flac", "mono"),
        ("tone.m4a", "aac", "stereo"),
        ("surround.m4a", "aac", "5.1"),
    ],
)
def test_every_common_form_is_heard(tmp_path: Path, name: str, codec: str, layout: str) -> None:
    channels = {"mono": 1, "stereo": 2, "5.1": 6}[layout]
    sound = read_audio(encode(tmp_path / name, codec, tone(1, 48000, channels), 48000, layout))
    assert len(sound.samples) == min(channels, 2)
    assert sound.samples.shape[1] / sound.rate == pytest.approx(1, abs=0.06)
    middle = sound.samples[0, 10000:30000].numpy()
    assert np.abs(np.fft.rfft(middle)).argmax() * sound.rate / len(middle) == pytest.approx(440, abs=2)


def test_a_rate_beyond_hearing_is_lowered(tmp_path: Path) -> None:
    sound = read_audio(write_wav(tmp_path / "fine.wav", tone(0.5, 192000), 192000))
    assert sound.rate == 48000
    assert sound.samples.shape[1] == pytest.approx(24000, abs=64)


def test_the_sound_of_a_clip_is_in_step_with_its_frames(tmp_path: Path) -> None:
    rate, click = 16000, 12000
    samples = 0.02 * tone(2, rate)
    samples[:, click : click + 200] += 0.8
    path = tmp_path / "clip.mp4"
    write_clip(Clip(torch.zeros(50, 3, 32, 32, dtype=torch.uint8), 25.0, Waveform(samples, rate)), path)
    heard = read_audio(path)
    loud = int((heard.samples[0].abs() > 0.4).nonzero()[0])
    assert loud / heard.rate == pytest.approx(click / rate, abs=0.01)


def test_a_tenth_of_a_second_is_enough_and_silence_is_sound(tmp_path: Path) -> None:
    sound = read_audio(write_wav(tmp_path / "short.wav", torch.zeros(1, 1600), 16000))
    assert sound.samples.shape == (1, 1600)
    assert not sound.samples.any()
    with pytest.raises(InputError, match=r"lasts 0\.05 s; give at least 0\.1 s"):
        read_audio(write_wav(tmp_path / "shorter.wav", torch.zeros(1, 800), 16000))


def test_too_long_names_the_option(tmp_path: Path) -> None:
    path = write_wav(tmp_path / "long.wav", torch.zeros(1, 24000), 8000)
    with pytest.raises(InputError, match=r"more than 2 s; cut it, or allow more with --max-seconds"):
        read_audio(path, max_seconds=2.0)
    assert read_audio(path, max_seconds=3.0).samples.shape == (1, 24000)


def test_what_is_no_sound_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no sound at"):
        read_audio(tmp_path / "absent.wav")
    with pytest.raises(InputError, match="is a folder"):
        read_audio(tmp_path)
    (tmp_path / "empty.wav").touch()
    with pytest.raises(InputError, match="empty"):
        read_audio(tmp_path / "empty.wav")
    with pytest.raises(InputError, match="is empty"):
        read_audio(write_wav(tmp_path / "hollow.wav", torch.zeros(1, 0), 16000))
    (tmp_path / "words.wav").write_text("hello")
    with pytest.raises(InputError, match="cannot be read as sound"):
        read_audio(tmp_path / "words.wav")
    (tmp_path / "list.m3u8").write_text("#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:9/a.ts\n")
    with pytest.raises(InputError, match="cannot be read as sound"):
        read_audio(tmp_path / "list.m3u8")
    write_clip(Clip(torch.zeros(2, 3, 16, 16, dtype=torch.uint8), 5.0), tmp_path / "mute.mp4")
    with pytest.raises(InputError, match="holds no sound"):
        read_audio(tmp_path / "mute.mp4")


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cut=st.integers(1, 4000), noise=st.binary(max_size=40))
def test_damaged_files_give_sound_or_a_sentence(tmp_path: Path, cut: int, noise: bytes) -> None:
    whole = write_wav(tmp_path / "whole.wav", tone(0.2, 8000), 8000).read_bytes()
    (tmp_path / "cut.wav").write_bytes(whole[:cut] + noise)
    try:
        sound = read_audio(tmp_path / "cut.wav")
    except InputError as error:
        assert "cut.wav" in str(error)
    else:
        assert sound.samples.isfinite().all()
        assert sound.samples.abs().max() <= 1
