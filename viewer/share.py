"""A world and its rollouts as one file that shows them from any angle without a server."""

from __future__ import annotations

import html

import viser

from splatworld.core.robot import ACTION_SECONDS
from splatworld.viewer import colors
from splatworld.viewer.downloads import add_download
from splatworld.viewer.stage import Stage
from splatworld.viewer.theme import Theme
from splatworld.viewer.timeline import Timeline

EARLY = 1e-3
"""s by which steps are recorded before their time, so that rounding shows none of them late."""
WORKERS = """<script>if(location.protocol==="file:"){const Plain=Worker;window.Worker=class extends Plain{
constructor(url,options){if(options&&options.type==="module"&&String(url).startsWith("blob:")){
const request=new XMLHttpRequest();request.open("GET",url,false);request.send();
const text=request.responseText.replaceAll("import.meta.url","self.location.href");
url=URL.createObjectURL(new Blob([text],{type:"text/javascript"}));options=undefined}super(url,options)}}}</script>"""
"""Browsers refuse modules as workers to pages that are files, and the one that sorts splats from far to near is a
module; it needs nothing of one but its own address."""
CAPTION = (
    "position:fixed;left:1em;bottom:3.6em;z-index:5;max-width:30em;padding:0.5em 0.8em;border-radius:4px;"
    "background:rgba(20,20,20,0.72);color:#ddd;font:13px/1.5 system-ui,sans-serif;pointer-events:none"
)


def page_html(
    server: viser.ViserServer, name: str, theme: Theme, stage: Stage | None = None, timeline: Timeline | None = None
) -> str:
    """What is in the scene, in one HTML file: the browser's own program, and the splats once.

    With a timeline it plays: seven numbers a step and body that moves, of deformable bodies their splats. The timeline
    goes from its beginning to its end meanwhile.

    Args:
        server: of the page.
        name: of the world.
        theme: of the page.
        stage, timeline: of its rollouts, as they are arranged.
    """
    recording = server.get_scene_serializer()
    if timeline is not None:
        clock = timeline.clock
        shown = clock.step
        for step in range(clock.last + 1):
            clock.seek(step)
            recording.insert_sleep(ACTION_SECONDS if step else ACTION_SECONDS - EARLY)
        text = recording.as_html(dark_mode=theme.dark)
        clock.seek(shown)
    else:
        text = recording.as_html(dark_mode=theme.dark)
    begin, end = text.index("<title>") + len("<title>"), text.index("</title>")
    text = text[:begin] + html.escape(name) + text[end:]
    head, body = text.index("<head>") + len("<head>"), text.rindex("</body>")
    return text[:head] + WORKERS + text[head:body] + _caption(name, stage) + text[body:]


def add_share_button(server: viser.ViserServer, name: str, theme: Theme, stage: Stage, timeline: Timeline) -> None:
    """A button that saves the page on the machine of the browser; arguments as of `page_html`."""
    server.gui.add_markdown("One file that plays this in any browser, from any angle, without a server.")

    def made(_: viser.ClientHandle) -> tuple[str, bytes]:
        return f"{name}.html", page_html(server, name, theme, stage, timeline).encode()

    add_download(server, "Save as a page", made, icon=viser.Icon.SHARE)


def _caption(name: str, stage: Stage | None) -> str:
    """What is shown, in the corner of the file's page."""
    names = []
    if stage is not None:
        for number in stage.layers:
            red, green, blue = colors.track_color(number)
            dot = "" if number == stage.lead else f'<span style="color:rgb({red},{green},{blue})">&#9632;</span> '
            names.append(dot + html.escape(stage.tracks[number].label))
    keys = "Drag to turn, right-drag to move, scroll to go near" + ("; space plays." if names else ".")
    title = f"<b>{html.escape(name)}</b> &nbsp; " + " &nbsp; ".join(names)
    return f'<div style="{CAPTION}">{title}<br><span style="opacity:0.7">{keys}</span></div>'
