"""A picture of held-out images with what the model says of them: green where it is right, red where it is wrong."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

CELL_PIXELS = 96
TITLE_PIXELS = 18
RIGHT, WRONG = (0, 128, 0), (200, 0, 0)


def draw_grid(
    images: Sequence[Any], titles: Sequence[str], right: Sequence[bool], file: Path, *, columns: int = 8
) -> Path:
    """Draw PIL images in a grid, each with a coloured title above it; written whole or not at all."""
    from PIL import Image, ImageDraw

    rows = -(-len(images) // columns)
    height = CELL_PIXELS + TITLE_PIXELS
    sheet = Image.new("RGB", (columns * (CELL_PIXELS + 4) + 4, rows * (height + 4) + 4), "white")
    pen = ImageDraw.Draw(sheet)
    for index, (image, title, correct) in enumerate(zip(images, titles, right, strict=True)):
        left = 4 + (index % columns) * (CELL_PIXELS + 4)
        top = 4 + (index // columns) * (height + 4)
        pen.text((left + 2, top + 2), title, fill=RIGHT if correct else WRONG)
        sheet.paste(
            image.convert("RGB").resize((CELL_PIXELS, CELL_PIXELS), Image.Resampling.NEAREST),
            (left, top + TITLE_PIXELS),
        )
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_name(f".{file.name}")
    sheet.save(partial, format="PNG")
    partial.replace(file)
    return file
