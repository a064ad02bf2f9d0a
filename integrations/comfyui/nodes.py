"""The nodes: ComfyUI's V3 schema around `functions`."""

import os
import time
from fractions import Fraction
from pathlib import Path
from typing import Any

from comfy_api.latest import ComfyAPISync, ComfyExtension, InputImpl, Types, io

from . import functions

CATEGORY = "mofa"
SceneType = io.Custom("MOFA_SCENE")
# Cores before 0.4 have no TRACKS of their own; the name of the type is what connects.
TracksType = getattr(io, "Tracks", None) or io.Custom("TRACKS")


RELEASED, NO_ADAPTER = "released", "none"
"""Weights that `mofa models download` brings, and no adapter at all; others go by their folder's name."""


def use_model_folders() -> None:
    """Registers models/mofa with ComfyUI; mofa keeps its weights there where that folder exists."""
    import folder_paths

    own = Path(folder_paths.models_dir) / "mofa"
    folder_paths.add_model_folder_path("mofa", str(own))
    if own.is_dir():
        os.environ.setdefault("MOFA_HOME", str(own))


def weights_folders() -> dict[str, Path]:
    """Folders of weights in ComfyUI's models/mofa and models/diffusers, wherever its settings have them."""
    import folder_paths

    rooms = [room for kind in ("mofa", "diffusers") for room in folder_paths.get_folder_paths(kind)]
    return functions.weights_folders(rooms)


def report(stage: str, done: int, total: int, /) -> None:
    """Tells ComfyUI how far a node is, and stops it when the person has pressed stop."""
    from comfy.model_management import throw_exception_if_processing_interrupted

    throw_exception_if_processing_interrupted()
    ComfyAPISync().execution.set_progress(value=done, max_value=max(total, 1))


def _size(*, what: str) -> list[Any]:
    return [
        io.Int.Input("width", default=0, min=0, max=16384, tooltip=f"Width of {what}; 0: the picture's."),
        io.Int.Input("height", default=0, min=0, max=16384, tooltip=f"Height of {what}; 0: the picture's."),
    ]


def _video(made: functions.Made) -> Any:
    rate = Fraction(made.fps).limit_denominator(1001)
    parts = Types.VideoComponents(images=made.images, audio=made.audio, frame_rate=rate)
    return InputImpl.VideoFromComponents(parts)


class MofaScene(io.ComfyNode):
    """What moves in a picture."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Picture and motion in, scene out."""
        return io.Schema(
            node_id="MofaScene",
            display_name="mofa Scene",
            category=CATEGORY,
            description="What moves in a picture: lines, tracks, camera, voice; white in the mask may move.",
            inputs=[
                io.Image.Input("image"),
                io.String.Input(
                    "lines",
                    multiline=True,
                    default="50%,50% 60%,50%",
                    tooltip='A track a line, "x,y x,y ..." in pixels or percent; one point holds its place.',
                ),
                io.String.Input("camera", default="", tooltip="pan right 40 px, zoom 1.1, rotate 5"),
                io.Int.Input("frames", default=25, min=0, max=10000, tooltip="0: as long as the voice."),
                io.Float.Input("fps", default=8.0, min=0.0, max=240.0, step=0.5, tooltip="0: the scene's."),
                *_size(what="the clip"),
                io.Boolean.Input("loop", default=False, tooltip="Let the end flow into the beginning."),
                io.Int.Input("seed", default=0, min=0, max=2**63 - 1),
                io.Mask.Input("mask", optional=True, tooltip="White may move, black may not."),
                TracksType.Input("tracks", optional=True),
                io.String.Input(
                    "coordinates",
                    optional=True,
                    default="",
                    force_input=True,
                    tooltip="A spline editor's coordinate string: one place per frame.",
                ),
                io.Int.Input("canvas_width", optional=True, default=0, min=0, max=16384,
                             tooltip="Width of the canvas of tracks and coordinates; 0: the picture's."),
                io.Int.Input("canvas_height", optional=True, default=0, min=0, max=16384,
                             tooltip="Height of the canvas of tracks and coordinates; 0: the picture's."),
                io.Audio.Input("audio", optional=True, tooltip="A voice that the picture speaks with."),
            ],
            outputs=[SceneType.Output("scene")],
        )  # fmt: skip

    @classmethod
    def execute(
        cls,
        image: Any,
        lines: str,
        camera: str,
        frames: int,
        fps: float,
        width: int,
        height: int,
        loop: bool,
        seed: int,
        mask: Any = None,
        tracks: Any = None,
        coordinates: str = "",
        canvas_width: int = 0,
        canvas_height: int = 0,
        audio: Any = None,
    ) -> io.NodeOutput:
        """Reads and checks everything."""
        return io.NodeOutput(
            functions.make_scene(
                image,
                lines,
                camera,
                mask,
                tracks,
                coordinates,
                (canvas_width, canvas_height),
                audio,
                frames,
                fps,
                (width, height),
                loop,
                seed,
            )
        )


class MofaSceneFromFile(io.ComfyNode):
    """A scene that was made before."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """A path in, scene out."""
        return io.Schema(
            node_id="MofaSceneFromFile",
            display_name="mofa Scene from File",
            category=CATEGORY,
            description="A scene file (.yaml, .json) or packed scene (.zip) that mofa or its studio wrote.",
            inputs=[io.String.Input("path", default="scene.yaml")],
            outputs=[SceneType.Output("scene")],
        )

    @classmethod
    def fingerprint_inputs(cls, path: str) -> int:
        """When the file was last written: a scene that was saved again is read again."""
        file = Path(path).expanduser()
        return file.stat().st_mtime_ns if file.is_file() else -1

    @classmethod
    def execute(cls, path: str) -> io.NodeOutput:
        """Reads the file."""
        return io.NodeOutput(functions.scene_from_file(path))


class MofaSceneToStudio(io.ComfyNode):
    """A scene to draw on in the studio."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Scene in, a zip in the output folder."""
        return io.Schema(
            node_id="MofaSceneToStudio",
            display_name="mofa Scene to Studio",
            category=CATEGORY,
            description="Writes the scene and its files as a zip to the output folder, for mofa studio.",
            inputs=[SceneType.Input("scene"), io.String.Input("name", default="scene")],
            outputs=[io.String.Output("path")],
            is_output_node=True,
        )

    @classmethod
    def execute(cls, scene: functions.Scene, name: str) -> io.NodeOutput:
        """Writes the zip under a name that is not taken."""
        import folder_paths

        file = f"{Path(name).name or 'scene'}-{time.time_ns():x}.zip"
        path = functions.save_for_studio(scene, Path(folder_paths.get_output_directory()) / file)
        return io.NodeOutput(str(path), ui={"text": [f"mofa studio {path}"]})


class MofaWarp(io.ComfyNode):
    """The picture's own pixels, moved."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Scene in; clip, masks, tracks and video out."""
        return io.Schema(
            node_id="MofaWarp",
            display_name="mofa Warp",
            category=CATEGORY,
            description="Moves the pixels themselves; needs no weights. Images and moved suit Time-to-Move.",
            inputs=[SceneType.Input("scene")],
            outputs=[
                io.Image.Output("images"),
                io.Mask.Output("moved"),
                io.Mask.Output("uncovered"),
                TracksType.Output("tracks"),
                io.Video.Output("video"),
            ],
        )

    @classmethod
    def execute(cls, scene: functions.Scene) -> io.NodeOutput:
        """Renders."""
        made = functions.warp(scene, report)
        return io.NodeOutput(made.images, made.moved, made.uncovered, made.tracks, _video(made))


class MofaFlow(io.ComfyNode):
    """Motion for models that are driven by tracks."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Scene in, a grid of tracks out."""
        return io.Schema(
            node_id="MofaFlow",
            display_name="mofa Flow as Tracks",
            category=CATEGORY,
            description="A grid of points that the scene's motion carries along: drives Wan-Move and ATI.",
            inputs=[
                SceneType.Input("scene"),
                io.Int.Input("frames", default=81, min=2, max=1000, tooltip="81 for Wan, 121 for ATI, LTX."),
                io.Int.Input("grid", default=32, min=1, max=128, tooltip="Points along each side."),
            ],
            outputs=[TracksType.Output("tracks"), io.String.Output("coordinates"), io.Int.Output("length")],
        )

    @classmethod
    def execute(cls, scene: functions.Scene, frames: int, grid: int) -> io.NodeOutput:
        """Follows the points."""
        tracks = functions.flow(scene, frames, grid, report)
        return io.NodeOutput(tracks, functions.coordinate_string(tracks), frames)


class MofaSpeak(io.ComfyNode):
    """A portrait that speaks."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Portrait and voice in, clip with sound out."""
        return io.Schema(
            node_id="MofaSpeak",
            display_name="mofa Speak",
            category=CATEGORY,
            description="Lets the face in a picture speak with a voice.",
            inputs=[
                io.Image.Input("image"),
                io.Audio.Input("voice"),
                io.Combo.Input("driver", options=["signal", "aniportrait", "sadtalker"], default="signal"),
                io.Float.Input("mouth", default=1.0, min=0.0, max=10.0, step=0.05),
                io.Float.Input("pose", default=1.0, min=0.0, max=10.0, step=0.05),
                io.Float.Input("fps", default=25.0, min=1.0, max=240.0, step=1.0),
                io.Int.Input("seed", default=0, min=0, max=2**63 - 1),
            ],
            outputs=[io.Image.Output("images"), io.Audio.Output("audio"), io.Video.Output("video")],
        )

    @classmethod
    def execute(
        cls, image: Any, voice: Any, driver: str, mouth: float, pose: float, fps: float, seed: int
    ) -> io.NodeOutput:
        """Renders."""
        made = functions.speak(image, voice, driver, mouth, pose, fps, seed, report)
        return io.NodeOutput(made.images, made.audio, _video(made))


class MofaFaces(io.ComfyNode):
    """A portrait that follows another face."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Portrait and a filmed face in, clip out."""
        return io.Schema(
            node_id="MofaFaces",
            display_name="mofa Faces",
            category=CATEGORY,
            description="Lets the face in a picture do what the face in a video does.",
            inputs=[
                io.Image.Input("image"),
                io.Image.Input("driving", tooltip="The frames of the video, as a batch."),
                io.Float.Input("fps", default=25.0, min=1.0, max=240.0, step=1.0),
                io.Float.Input("strength", default=1.0, min=-10.0, max=10.0, step=0.05),
            ],
            outputs=[io.Image.Output("images"), io.Video.Output("video")],
        )

    @classmethod
    def execute(cls, image: Any, driving: Any, fps: float, strength: float) -> io.NodeOutput:
        """Renders."""
        made = functions.drive_face(image, driving, fps, strength, report)
        return io.NodeOutput(made.images, _video(made))


class MofaDiffusion(io.ComfyNode):
    """The scene through Stable Video Diffusion."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Scene in, clip out."""
        folders = list(weights_folders())
        return io.Schema(
            node_id="MofaDiffusion",
            display_name="mofa Diffusion",
            category=CATEGORY,
            description=(
                "Stable Video Diffusion, steered by MOFA's adapters, guided by the warped clip, or both; "
                "weights lie in models/mofa or models/diffusers."
            ),
            inputs=[
                SceneType.Input("scene"),
                io.Combo.Input("model", options=[RELEASED, *folders], default=RELEASED),
                io.Combo.Input(
                    "adapter",
                    options=[RELEASED, NO_ADAPTER, *folders],
                    default=RELEASED,
                    tooltip="What steers the model; none leaves that to the guide.",
                ),
                io.Combo.Input(
                    "guide",
                    options=["none", "warp"],
                    default="none",
                    tooltip="warp lets the warped clip guide the model (Time-to-Move).",
                ),
                io.Combo.Input("preset", options=["draft", "standard", "fine"], default="standard"),
                io.Int.Input("steps", default=0, min=0, max=1000, tooltip="0: the preset's."),
                io.Combo.Input("densifier", options=["cmp", "edge-aware"], default="cmp"),
                io.Combo.Input("offload", options=["none", "model", "block"], default="model"),
            ],
            outputs=[io.Image.Output("images"), io.Video.Output("video")],
        )

    @classmethod
    def execute(
        cls,
        scene: functions.Scene,
        model: str,
        adapter: str,
        guide: str,
        preset: str,
        steps: int,
        densifier: str,
        offload: str,
    ) -> io.NodeOutput:
        """Renders with weights from ComfyUI's model folders."""
        settings: dict[str, Any] = {"preset": preset, "densifier": densifier, "offload": offload}
        settings |= {"guide": guide, "adapters": adapter != NO_ADAPTER} | ({"steps": steps} if steps else {})
        known = weights_folders()
        folders = [known[name] for name in (model, adapter) if name in known]
        made = functions.diffuse(scene, settings, folders, report)
        return io.NodeOutput(made.images, _video(made))


NODES: list[type[io.ComfyNode]] = [
    MofaScene,
    MofaSceneFromFile,
    MofaSceneToStudio,
    MofaWarp,
    MofaFlow,
    MofaSpeak,
    MofaFaces,
    MofaDiffusion,
]


class MofaExtension(ComfyExtension):
    """What ComfyUI asks for the nodes."""

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        """All of them."""
        return NODES


async def comfy_entrypoint() -> MofaExtension:
    """Called by ComfyUI when it loads the folder."""
    use_model_folders()
    return MofaExtension()
