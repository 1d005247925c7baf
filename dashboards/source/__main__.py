"""Writes the dashboards: python3 dashboards/source [--check]

--check writes nothing and fails if a file differs from what would be written.
"""

import json
import pathlib
import sys

from boards import exporter, overview, queue, transcodes

FOLDER = pathlib.Path(__file__).resolve().parent.parent
BOARDS = {"overview": overview.board, "queue": queue.board, "transcodes": transcodes.board, "exporter": exporter.board}


def main(check):
    stale = []
    for name, board in BOARDS.items():
        path = FOLDER / f"{name}.json"
        text = json.dumps(board().json(), indent=2, ensure_ascii=False) + "\n"
        if not check:
            path.write_text(text)
        elif not path.exists() or path.read_text() != text:
            stale.append(path.name)
    if stale:
        sys.exit(f"not what dashboards/source says: {', '.join(stale)}. Run: python3 dashboards/source")


if __name__ == "__main__":
    main("--check" in sys.argv[1:])
