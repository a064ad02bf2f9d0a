"""Speech to face motion: what `tools.parity` compares with audio.npz and sadtalker.npz."""

from functools import partial

from mofa.faces.drivers.aniportrait import SPEAKER
from mofa.faces.drivers.at_25_fps import FPS
from mofa.faces.drivers.mel import mel_spectrogram, mel_windows
from mofa.faces.drivers.sadtalker import coefficients, smoothed
from mofa.faces.face_model import keypoints_of
from mofa.models import aniportrait, sadtalker
from tools.parity_reference import Findings, Reference
from tools.weights_by_name import build


def aniportrait_speech(reference: Reference) -> Findings:
    """AniPortrait: speech to mesh offsets and head pose."""
    seed, config = int(reference["seed"]), aniportrait.SpeechNetworkConfig()
    normalised = aniportrait.normalised(reference["waveform"])
    yield reference.compare("normalised", normalised)
    to_mesh = build(partial(aniportrait.SpeechToMesh, config), seed)
    frames = reference["mesh"].shape[1]
    yield reference.compare("mesh", to_mesh(normalised[None], frames).flatten(2))
    del to_mesh
    to_pose = build(partial(aniportrait.SpeechToPose, config), seed)
    frames = reference["pose"].shape[1]
    yield reference.compare("pose", to_pose(normalised[None], frames, SPEAKER))


def sadtalker_speech(reference: Reference) -> Findings:
    """SadTalker: spectrogram, expression, head pose, and the face model's points."""
    seed = int(reference["seed"])
    spectrogram = mel_spectrogram(reference["waveform"])
    yield reference.compare("mel", spectrogram)
    frames = reference["mel_windows"].shape[1]
    heard = mel_windows(spectrogram, frames, FPS)
    yield reference.compare("mel_windows", heard[None])

    known = reference["reference_coefficients"][0, 0]
    to_expression = build(sadtalker.SpeechToExpression, seed)
    expression = to_expression(heard, known[: sadtalker.EXPRESSION], reference["blink_ratio"][0])
    yield reference.compare("expression", expression[None])

    to_pose = build(sadtalker.SpeechToPose, seed)
    latents, style = reference["pose_latents"].flatten(0, 1), int(reference["pose_style"])
    pose = to_pose(heard, known[sadtalker.EXPRESSION :], latents, style)
    yield reference.compare("pose", pose[None])
    yield reference.compare("pose_smoothed", smoothed(pose)[None])

    model = keypoints_of(
        reference["bfm_mean_shape"].flatten(),
        reference["bfm_identity_basis"],
        reference["bfm_expression_basis"],
        reference["bfm_keypoints_1based"].flatten() - 1,
    )
    yield reference.compare("landmarks_224_yup", model.keypoints(coefficients(reference["coefficients"])))
