"""The summary of a batch: one page with every clip and every failure."""

import base64
from collections.abc import Sequence
from html import escape
from pathlib import Path

from mofa.batch.rows import BadRow, Row
from mofa.batch.run import Tally
from mofa.batch.thumbnails import thumbnail
from mofa.media.files import replacing

STYLE = (
    ":root{color-scheme:light dark}body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:1200px;"
    "padding:0 1rem}.grid{display:grid;gap:1rem;grid-template-columns:repeat(auto-fill,minmax(200px,1fr))}"
    "video{width:100%;border-radius:6px}figure{margin:0}figcaption{font-size:.85rem;overflow-wrap:anywhere}"
)


def write_page(rows: Sequence[Row | BadRow], folder: Path, tally: Tally) -> Path:
    """Writes index.html beside the clips; it shows them where they lie."""
    made = {*tally.there, *tally.made}
    clips = "".join(figure(row, tally) for row in rows if isinstance(row, Row) and row.name in made)
    failures = "".join(f"<li><b>{escape(n)}</b> {escape(e)}</li>" for n, e in tally.failed)
    failed = f"<h2>Failed</h2><ul>{failures}</ul>" if failures else ""
    page = (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Batch</title><style>{STYLE}</style>'
        f"<h1>{len(made)} clips, {len(tally.failed)} failed</h1>{failed}"
        f'<div class="grid">{clips}</div></html>'
    )
    path = folder / "index.html"
    with replacing(path, overwrite=True) as hidden:
        hidden.write_text(page, encoding="utf-8")
    return path


def figure(row: Row, tally: Tally) -> str:
    """A clip that plays when it is pointed at, its first frame before that."""
    name = escape(row.output.name, quote=True)
    spent = f", {tally.seconds[row.name]:.1f} s" if row.name in tally.seconds else ""
    poster = base64.b64encode(thumbnail(row.output)).decode()
    poster = f"data:image/jpeg;base64,{poster}" if poster else ""
    return (
        f'<figure><video muted loop controls preload="none" src="{name}" poster="{poster}">'
        f"</video><figcaption>{escape(row.name)}{spent}</figcaption></figure>"
    )
