"""What a visitor does with finished clips: names them and throws them away."""

import json
import shutil
from typing import Annotated, Any

from fastapi import APIRouter, Body

from mofa.apps.studio import making
from mofa.apps.studio.routes import TheVisitor
from mofa.media.files import replacing

LONGEST_TITLE = 60

router = APIRouter(prefix="/studio/clips")


@router.put("/{name}")
def name_clip(name: str, title: Annotated[str, Body(embed=True)], visitor: TheVisitor) -> dict[str, Any]:
    """Gives a clip a name of its own; an empty one takes it away again."""
    path = visitor.file("results", name, making.FACTS)
    facts = json.loads(path.read_text(encoding="utf-8")) | {"title": title.strip()[:LONGEST_TITLE]}
    with replacing(path, overwrite=True) as hidden:
        hidden.write_text(json.dumps(facts), encoding="utf-8")
    return facts


@router.delete("/{name}")
def delete_clip(name: str, visitor: TheVisitor) -> dict[str, str]:
    """Throws a clip away, with everything that was made beside it."""
    shutil.rmtree(visitor.file("results", name, making.FACTS).parent)
    return {"name": name}
