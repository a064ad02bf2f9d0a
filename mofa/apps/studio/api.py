"""The named endpoints for gradio_client, below /api; loaded only when they are asked for."""

import os
from pathlib import Path

from fastapi import FastAPI

from mofa.apps.studio.routes import Studio
from mofa.apps.studio.uploads import KINDS
from mofa.apps.studio.visitors import KEEP_SECONDS

PATH = "/api"
SWEEP_SECONDS = 600
"""How often what Gradio keeps of API calls is looked through."""


def mount_api(app: FastAPI, studio: Studio, home: Path) -> None:
    """Puts the endpoints at /api; what they are sent lies below `home`."""
    # Read when Gradio is imported: no analytics, no question whether there is a newer version.
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ["GRADIO_TEMP_DIR"] = str(home / "api")
    import gradio as gr

    from mofa.apps.studio.endpoints import add_endpoints

    with gr.Blocks(
        analytics_enabled=False, title="mofa studio", delete_cache=(SWEEP_SECONDS, KEEP_SECONDS)
    ) as endpoints:
        add_endpoints(studio)
    gr.mount_gradio_app(
        app,
        endpoints,
        path=PATH,
        run_history=False,
        max_file_size=max(kind.most_bytes for kind in KINDS.values()),
        ssr_mode=False,
        # Fonts of the system: Gradio's own themes would fetch theirs.
        theme=gr.themes.Base(font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"]),
    )
    # Gradio checks the paths that callers send only in a page that was launched, and a mounted one never is:
    # without this a call could name any file of this machine.
    endpoints.has_launched = True
