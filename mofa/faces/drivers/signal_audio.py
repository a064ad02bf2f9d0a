"""Speech to face motion by signal processing alone: quick, no weights, any language."""

import math

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from mofa.faces.blendshapes import BlendshapeClip, blendshape_landmarks
from mofa.faces.drivers.articulation import lips_closed, with_head
from mofa.faces.drivers.idle import blinks, drift
from mofa.faces.drivers.voice import STEPS_PER_SECOND, Voice, analyse_voice
from mofa.tensors.smoothstep import smoothstep
from mofa.types import LandmarkClip, Waveform

ATTACK, RELEASE = 0.025, 0.06
"""Seconds in which lips part and close; they part faster."""
LOUDNESS_POWER = 0.75
"""Of the sound's amplitude: soft syllables are seen, too, as they are heard (Stevens 1955)."""
LEAD = 0.03
"""Seconds by which the mouth is moved forward: what following the voice delays it."""
SETTLING = 0.25
"""Seconds in which the mouth leaves the pose of the picture."""
WIDEST_JAW, UPPER_LIP = 0.34, 0.3
"""Of ARKit's curves: how far a loud open vowel lowers the jaw, and raises the upper lip."""
SWAY = 0.025
"""The idle head: radians of roll, shares of the face of turning and nodding."""
STRESSED_NOD, STRESSED_BROWS, IDLE_BROWS = 0.05, 0.7, 0.25
"""How far a stressed word nods (nose to chin) and raises the brows, and how far they wander by themselves."""


def signal_driver(
    speech: Waveform, face: Float[Tensor, "68 2"], fps: float, num_frames: int, seed: int
) -> LandmarkClip:
    """A face that speaks: jaw and lips follow the voice, eyes blink, the head is never quite still.

    Frame t is heard from t / fps to (t + 1) / fps. Frame 0 is the given face; beyond the end of the
    speech, and in its pauses, the lips rest on each other. The same seed gives the same blinks and head,
    however long the clip. The result is in the pixels of `face`; its score is 1.
    """
    voice = analyse_voice(speech)
    time = torch.arange(num_frames) / fps
    arrived = smoothstep(time / SETTLING)
    blinks_rng, head_rng = np.random.default_rng(seed).spawn(2)
    roll, turn, nod, lift = (drift(time, head_rng) for _ in range(4))
    stress = arrived * at_frames(stressed(voice), fps, num_frames)
    lids = blinks(time, blinks_rng)
    brows = (IDLE_BROWS * lift + STRESSED_BROWS * stress).clamp(min=0)
    expression = {
        **{name: arrived * at_frames(curve, fps, num_frames) for name, curve in mouth(voice).items()},
        **dict.fromkeys(("eyeBlinkLeft", "eyeBlinkRight"), lids),
        **dict.fromkeys(("browInnerUp", "browOuterUpLeft", "browOuterUpRight"), brows),
    }
    rest = lips_closed(face)
    still_open = (1 - arrived).to(face)[:, None, None] * (face - rest)
    points = blendshape_landmarks(BlendshapeClip(expression, fps), rest).points + still_open
    head = (SWAY * roll, SWAY * turn, SWAY * nod + STRESSED_NOD * stress)
    spoken = with_head(points, *(curve.to(face) for curve in head))
    return LandmarkClip(spoken, face.new_ones(num_frames), fps)


def mouth(voice: Voice) -> dict[str, Float[Tensor, " N"]]:
    """ARKit's curves of jaw and lips over the voice's steps.

    Open vowels lower the jaw, close ones less; s shows the teeth; m presses the lips, and a short stop in
    the middle of a phrase a little.
    """
    loud = voice.opening.clamp(0, 1.1).pow(LOUDNESS_POWER)
    jaw = torch.maximum(loud * (0.7 + 0.3 * voice.low_tongue), 0.12 * voice.hiss)
    vowel = (loud / 0.25).clamp(0, 1) * (1 - voice.hiss)
    spread = voice.front_tongue * vowel + 0.4 * voice.hiss
    rounded = (1 - voice.front_tongue) * (1 - voice.low_tongue) * vowel
    stopped = voice.active * (1 - jaw / 0.1).clamp(0, 1)
    jaw = follow(jaw, ATTACK, RELEASE)
    spread, rounded = follow(spread, 0.05, 0.05), follow(rounded, 0.05, 0.05)
    pressed = follow(torch.maximum(voice.murmur, 0.4 * stopped), 0.03, 0.05)
    return {
        "jawOpen": WIDEST_JAW * jaw,
        **dict.fromkeys(("mouthUpperUpLeft", "mouthUpperUpRight"), UPPER_LIP * jaw),
        **dict.fromkeys(("mouthStretchLeft", "mouthStretchRight"), 0.5 * spread),
        "mouthPucker": 0.7 * rounded,
        **dict.fromkeys(("mouthRollLower", "mouthRollUpper"), pressed),
    }


def stressed(voice: Voice) -> Float[Tensor, " N"]:
    """How much louder than the phrase around it a word is: what nods and raised brows go with."""
    loud = voice.opening.clamp(0, 1)
    return follow(loud, 0.12, 0.25) - follow(loud, 0.8, 0.8)


def follow(curve: Float[Tensor, " N"], attack: float, release: float) -> Float[Tensor, " N"]:
    """The curve drawn after by something with inertia: time constants in seconds for rising and falling.

    Twice in a row, so that it starts as softly as it ends; at rest, at 0, before the first step.
    """
    up, down = (1 - math.exp(-2 / (seconds * STEPS_PER_SECOND)) for seconds in (attack, release))
    values = curve.tolist()
    for _ in range(2):
        state = 0.0
        for n, value in enumerate(values):
            state += (up if abs(value) > abs(state) else down) * (value - state)
            values[n] = state
    return torch.tensor(values)


def at_frames(curve: Float[Tensor, " N"], fps: float, num_frames: int) -> Float[Tensor, " T"]:
    """The curve's mean over the time that each frame is shown, `LEAD` ahead; 0 beyond its end."""
    steps = curve.double().numpy()
    total = np.concatenate([[0.0], steps.cumsum()])
    # Step n stands for the 10 ms around it.
    edges = (np.arange(num_frames + 1) / fps + LEAD) * STEPS_PER_SECOND + 0.5
    sums = np.interp(edges, np.arange(len(total)), total)
    return torch.from_numpy(np.diff(sums) * fps / STEPS_PER_SECOND).float()
