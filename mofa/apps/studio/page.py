"""The page: Gradio serves it and its named endpoints; the canvas in it is our own."""

from pathlib import Path

import gradio as gr
from fastapi import FastAPI

from mofa.apps.studio.endpoints import add_endpoints
from mofa.apps.studio.routes import Studio
from mofa.apps.studio.uploads import KINDS
from mofa.apps.studio.visitors import KEEP_SECONDS

STATIC = Path(__file__).parent / "static"
SWEEP_SECONDS = 600
"""How often what Gradio keeps of API calls is looked through."""
MOUNT = """
import(new URL("studio/static/main.js", document.baseURI).href)
  .then((studio) => studio.mount(element))
  .catch((problem) => { element.textContent = String(problem); });
"""
HEAD = '<meta name="viewport" content="width=device-width, initial-scale=1, viewport-fit=cover">\n'


def mount_page(app: FastAPI, studio: Studio) -> None:
    """Puts the page at / and the API beside it."""
    with gr.Blocks(
        analytics_enabled=False,
        title="mofa studio",
        fill_width=True,
        delete_cache=(SWEEP_SECONDS, KEEP_SECONDS),
    ) as page:
        gr.HTML(
            html_template='<div id="studio"><noscript>The studio needs JavaScript.</noscript></div>',
            js_on_load=MOUNT,
            apply_default_css=False,
        )
        add_endpoints(studio)
    preloads = [
        f'<link rel="modulepreload" href="studio/static/{script.name}">'
        for script in sorted(STATIC.glob("*.js"))
    ]
    gr.mount_gradio_app(
        app,
        page,
        path="/",
        footer_links=[],
        run_history=False,
        max_file_size=max(kind.most_bytes for kind in KINDS.values()),
        ssr_mode=False,
        # Fonts of the system: Gradio's own themes would fetch theirs.
        theme=gr.themes.Base(font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"]),
        css_paths=STATIC / "studio.css",
        favicon_path=str(STATIC / "favicon.png"),
        head=HEAD + "\n".join(preloads),
    )
    # Gradio checks the paths that callers send only in a page that was launched, and a mounted one never is:
    # without this a call could name any file of this machine.
    page.has_launched = True
