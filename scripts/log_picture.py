"""Draw a recorded log as an SVG picture for the documents, coloured as on a terminal.

murmur up --peers 3 ... | tee swarm.log && python scripts/log_picture.py <swarm.log >docs/images/swarm.svg
"""

import io
import re
import sys

from rich.console import Console
from rich.text import Text

_COLOURS = ("cyan", "yellow", "green", "magenta", "blue", "red")
_COLUMNS = 140
_TITLE = "murmur up --peers 3 -c configs/config.yaml -c configs/cartpole-variants.yaml stop.mean_return=null"

# rich's own template loads a web font; a picture in a repository must not fetch anything.
_TEMPLATE = """<svg class="rich-terminal" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<style>
.{unique_id}-matrix {{ font-family: Menlo, Consolas, "DejaVu Sans Mono", monospace; font-size: {char_height}px;
  line-height: {line_height}px; }}
.{unique_id}-title {{ font-size: 18px; font-weight: bold; font-family: sans-serif; }}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}"/>
</clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""


def main() -> None:
    console = Console(record=True, width=_COLUMNS, file=io.StringIO(), force_terminal=True)
    for line in sys.stdin:
        text = Text(line.rstrip("\n"), no_wrap=True, overflow="ellipsis")
        number = re.match(r"peer-(\d+)", line)
        if number:
            text.stylize(_COLOURS[(int(number[1]) - 1) % len(_COLOURS)], 0, number.end())
        text.highlight_regex(r"round +\d+ ", "bright_white")
        text.highlight_regex(r"model [0-9a-f]{6}", "green")
        console.print(text)
    sys.stdout.write(console.export_svg(title=_TITLE, code_format=_TEMPLATE))


if __name__ == "__main__":
    main()
