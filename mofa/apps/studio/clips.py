"""What a visitor does with finished clips: names them and throws them away."""

import json
import shutil
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Body, Request
from fastapi.responses import FileResponse

from mofa.apps.studio import making
from mofa.apps.studio.jobs import Job
from mofa.apps.studio.routes import TheStudio, TheVisitor, answered
from mofa.control.exchange import TRACK_FORMATS, check_format
from mofa.media.files import replacing
from mofa.pipeline.export import FORMATS, Wanted, export_scene
from mofa.pipeline.request import AnimationRequest

LONGEST_TITLE = 60
"""Characters of a clip's name: one line of the page."""
EXPORT_BYTES = 50_000_000
"""Set aside for a clip's motion in another tool's files; a short video is the most of it."""

router = APIRouter(prefix="/studio/clips")


@router.put("/{name}")
def name_clip(name: str, title: Annotated[str, Body(embed=True)], visitor: TheVisitor) -> dict[str, Any]:
    """Gives a clip a name of its own; an empty one takes it away again."""
    path = visitor.file("results", name, making.FACTS)
    facts = json.loads(path.read_text(encoding="utf-8")) | {"title": title.strip()[:LONGEST_TITLE]}
    with replacing(path, overwrite=True) as hidden:
        hidden.write_text(json.dumps(facts), encoding="utf-8")
    return facts


@router.get("/{name}/for/{form}")
async def clip_for(
    name: str, form: str, request: Request, studio: TheStudio, visitor: TheVisitor
) -> FileResponse:
    """The clip's motion in the files of another model or tool; a folder comes as a zip."""
    scene = visitor.file("results", name, making.SCENE)
    check_format(form, FORMATS)
    suffix = TRACK_FORMATS[form].suffix if form in TRACK_FORMATS else ""
    path = scene.with_name(f"for-{form}{suffix}")

    def exported(_: Job) -> Path:
        if not path.exists():
            with visitor.having(EXPORT_BYTES):
                export_scene(AnimationRequest.from_file(scene), path, Wanted(form), overwrite=True)
        return path if suffix else making.zipped(path, visitor)

    made = await answered(studio.forms.submit(visitor.name, exported), studio.forms, request)
    return FileResponse(made, filename=f"mofa-{form}{suffix or '.zip'}")


@router.post("/{name}/share")
def share_clip(name: str, studio: TheStudio, visitor: TheVisitor) -> dict[str, str]:
    """A secret that lets others see the clip and open its scene."""
    return {"token": studio.shares.give(visitor, name)}


@router.delete("/{name}")
def delete_clip(name: str, visitor: TheVisitor) -> dict[str, str]:
    """Throws a clip away, with everything that was made beside it."""
    shutil.rmtree(visitor.file("results", name, making.FACTS).parent)
    return {"name": name}
